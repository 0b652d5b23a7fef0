// SPDX-License-Identifier: BSD-3-Clause
#include "agent/drive/node/state_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>

namespace sallyport {
namespace {

class state_file : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = testing::TempDir() + "/sallyport-state-XXXXXX";
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    folder_ = name;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  StateFile open() {
    auto file = StateFile::open(path(), 100);
    EXPECT_TRUE(file) << (file ? "" : file.error().text());
    return std::move(file).value();
  }
  [[nodiscard]] std::string path() const { return folder_ + "/keys"; }
  std::string folder_;
};

TEST_F(state_file, the_last_word_counts) {
  StateFile file = open();
  EXPECT_EQ(*file.load(), "");
  for (const char* text : {"one", "a longer one", "", "three"}) {
    ASSERT_TRUE(file.store(text));
    EXPECT_EQ(*file.load(), text);
    EXPECT_EQ(*open().load(), text);
  }
}

TEST_F(state_file, goes_on_where_the_last_process_was) {
  ASSERT_TRUE(open().store("one"));
  ASSERT_TRUE(open().store("two"));
  ASSERT_TRUE(open().store("three"));
  EXPECT_EQ(*open().load(), "three");
}

TEST_F(state_file, nobody_else_may_read_it) {
  {
    const std::ofstream loose(path() + ".0");
  }
  ASSERT_EQ(::chmod((path() + ".0").c_str(), 0644), 0);
  open();
  struct stat about{};
  ASSERT_EQ(::stat((path() + ".0").c_str(), &about), 0);
  EXPECT_EQ(about.st_mode & 0777U, 0600U);
}

TEST_F(state_file, a_torn_store_leaves_the_one_before) {
  {
    StateFile file = open();
    ASSERT_TRUE(file.store("one"));
    ASSERT_TRUE(file.store("two"));
  }
  // Each byte of the newer slot changed, and each length that it may have been cut to.
  const std::string slot = path() + ".1";
  std::ifstream in(slot, std::ios::binary);
  const std::string whole{std::istreambuf_iterator<char>(in), {}};
  ASSERT_GT(whole.size(), 3U);
  for (size_t i = 0; i < whole.size(); ++i) {
    std::string broken = whole;
    broken[i] = static_cast<char>(broken[i] ^ 1);
    std::ofstream(slot, std::ios::binary) << broken;
    EXPECT_EQ(*open().load(), "one") << i;
    std::ofstream(slot, std::ios::binary | std::ios::trunc) << whole.substr(0, i);
    EXPECT_EQ(*open().load(), "one") << i;
  }
  ASSERT_TRUE(open().store("three"));
  EXPECT_EQ(*open().load(), "three");
}

TEST_F(state_file, what_it_does_not_take) {
  StateFile file = open();
  ASSERT_TRUE(file.store(std::string(100, 'x')));
  const auto stored = file.store(std::string(101, 'x'));
  ASSERT_FALSE(stored);
  EXPECT_EQ(stored.error().code.value(), EFBIG);
  EXPECT_EQ(file.load()->size(), 100U);
  ASSERT_EQ(::symlink("/etc/passwd", (folder_ + "/link.0").c_str()), 0);
  EXPECT_FALSE(StateFile::open(folder_ + "/link", 100));
  EXPECT_FALSE(StateFile::open(folder_ + "/none/keys", 100));
}

}  // namespace
}  // namespace sallyport
