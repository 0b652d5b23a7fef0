// SPDX-License-Identifier: BSD-3-Clause
#include "agent/io/file.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <string>

#include "gtest/gtest.h"

namespace sallyport::io {
namespace {

class file : public testing::Test {
 protected:
  void SetUp() override { ASSERT_NE(::mkdtemp(folder_.data()), nullptr); }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  [[nodiscard]] size_t entries() const {
    return static_cast<size_t>(std::distance(std::filesystem::directory_iterator{folder_}, {}));
  }
  std::string folder_ = testing::TempDir() + "file-XXXXXX";
  std::string path_ = "";
};

TEST_F(file, what_was_written_is_read_with_the_mode_asked_for) {
  const std::string path = folder_ + "/a";
  const std::string content = std::string(200'000, 'z') + '\0' + "end";
  const mode_t before = ::umask(077);
  ASSERT_TRUE(write_file_atomic(path, "old", 0600));
  ASSERT_TRUE(write_file_atomic(path, content, 0644));
  ::umask(before);
  const auto read = read_file(path, content.size());
  ASSERT_TRUE(read);
  EXPECT_TRUE(*read == content);
  struct stat about{};
  ASSERT_EQ(::stat(path.c_str(), &about), 0);
  EXPECT_EQ(about.st_mode & 07777, 0644U);
  EXPECT_EQ(entries(), 1U);  // no temporary is left
}

TEST_F(file, refuses_what_is_too_big_missing_or_no_file) {
  const std::string path = folder_ + "/a";
  ASSERT_TRUE(write_file_atomic(path, "12345", 0600));
  EXPECT_EQ(read_file(path, 4).error().code.value(), EFBIG);
  EXPECT_EQ(read_file(path, 5).value(), "12345");
  EXPECT_EQ(read_file(folder_ + "/none", 5).error().code.value(), ENOENT);
  EXPECT_EQ(read_file(folder_, 5).error().code.value(), EISDIR);
  ASSERT_EQ(::mkfifo((folder_ + "/fifo").c_str(), 0600), 0);
  EXPECT_EQ(read_file(folder_ + "/fifo", 5).error().code.value(), EINVAL);
  EXPECT_EQ(read_file("/dev/zero", 5).error().code.value(), EINVAL);
  EXPECT_EQ(read_file("/proc/self/comm", 100).value().back(), '\n');  // its size is said to be 0
}

TEST_F(file, a_failed_write_leaves_the_old_file_and_nothing_else) {
  const std::string path = folder_ + "/a";
  ASSERT_TRUE(std::filesystem::create_directory(path));  // rename over a folder fails
  EXPECT_EQ(write_file_atomic(path, "x", 0600).error().code.value(), EISDIR);
  EXPECT_EQ(entries(), 1U);
  EXPECT_EQ(write_file_atomic(folder_ + "/none/a", "x", 0600).error().code.value(), ENOENT);
}

}  // namespace
}  // namespace sallyport::io
