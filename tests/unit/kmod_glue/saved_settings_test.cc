// SPDX-License-Identifier: BSD-3-Clause
#include "kmod-glue/saved_settings.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>

namespace sallyport {
namespace {

SavedSettings some() {
  return {
      .sysctls = {{"net/ipv4/ip_forward", "0"}, {"net/ipv4/ip_local_reserved_ports", ""}},
      .offloads = {{{"eth0", "rx-gro-list"}, true}, {{"eth0", "rx-udp-gro-forwarding"}, false}}};
}

class SavedFile : public testing::Test {
 protected:
  void SetUp() override {
    char pattern[] = "/tmp/saved-XXXXXX";
    ASSERT_NE(mkdtemp(pattern), nullptr);
    dir_ = pattern;
    path_ = dir_ + "/settings";
  }
  void TearDown() override {
    unlink(path_.c_str());
    rmdir(dir_.c_str());  // fails if anything else was left: see nothing_is_left_beside
  }
  std::string dir_;
  std::string path_;
};

TEST_F(SavedFile, comes_back_as_it_was) {
  ASSERT_TRUE(write_saved_settings(path_, some()));
  const auto back = read_saved_settings(path_);
  ASSERT_TRUE(back);
  EXPECT_EQ(*back, some());
  struct stat about{};
  ASSERT_EQ(stat(path_.c_str(), &about), 0);
  EXPECT_EQ(about.st_mode & 0777, 0600U);
}

TEST_F(SavedFile, missing_is_empty_and_empty_is_missing) {
  const auto none = read_saved_settings(path_);
  ASSERT_TRUE(none);
  EXPECT_TRUE(none->empty());
  ASSERT_TRUE(write_saved_settings(path_, some()));
  ASSERT_TRUE(write_saved_settings(path_, {}));
  EXPECT_NE(access(path_.c_str(), F_OK), 0);
  EXPECT_TRUE(write_saved_settings(path_, {}));
}

TEST_F(SavedFile, nothing_is_left_beside) {
  ASSERT_TRUE(write_saved_settings(path_, some()));
  EXPECT_NE(access((path_ + ".new").c_str(), F_OK), 0);
}

TEST_F(SavedFile, a_damaged_file_is_refused_by_name) {
  std::ofstream(path_) << some().text().substr(0, 30);
  const auto damaged = read_saved_settings(path_);
  ASSERT_FALSE(damaged);
  EXPECT_EQ(damaged.error().code, std::errc::bad_message);
  EXPECT_NE(damaged.error().text().find(path_), std::string::npos);
}

TEST_F(SavedFile, a_folder_that_is_missing_is_an_error) {
  const auto done = write_saved_settings(dir_ + "/no/settings", some());
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, std::errc::no_such_file_or_directory);
}

TEST(saved_settings, only_its_own_form_is_read) {
  EXPECT_EQ(SavedSettings::parse(some().text()), some());
  for (const char* text :
       {"", "null", "[]", "{}", R"({"v":2,"sysctls":{},"offloads":[]})",
        R"({"v":1,"sysctls":[],"offloads":[]})", R"({"v":1,"sysctls":{"a":1},"offloads":[]})",
        R"({"v":1,"sysctls":{},"offloads":{}})", R"({"v":1,"sysctls":{},"offloads":[1]})",
        R"({"v":1,"sysctls":{},"offloads":[{"device":"e","feature":"f","on":"yes"}]})"}) {
    EXPECT_FALSE(SavedSettings::parse(text)) << text;
  }
}

}  // namespace
}  // namespace sallyport
