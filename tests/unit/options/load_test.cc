// SPDX-License-Identifier: BSD-3-Clause
#include "agent/options/load.h"

#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "tests/unit/options/reader.h"

namespace sallyport::options {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

/// A folder of its own for each test.
class Load : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "sallyport-load-XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  void write(const std::string& name, const std::string& text, mode_t mode = 0600) {
    const std::string path = folder_ + "/" + name;
    std::filesystem::create_directories(std::filesystem::path(path).parent_path());
    std::ofstream(path) << text;
    ASSERT_EQ(chmod(path.c_str(), mode), 0);
  }
  [[nodiscard]] std::string path(const std::string& name = "config.yaml") const {
    return folder_ + "/" + name;
  }
  [[nodiscard]] std::vector<std::string> said() const {
    std::vector<std::string> out;
    const auto reading = load_config(path());
    if (reading) return out;
    for (const auto& error : reading.error()) out.push_back(error.text());
    return out;
  }

  std::string folder_;
};

constexpr const char* kSecret = "AFxkRkGxJgoMqnsjsbKXVPmTrdxbmpLVTRZd2RoiHGc=\n";

std::string peer(const std::string& name, const char* key, const std::string& address,
                 const std::string& more = "") {
  return "name: " + name + "\npublic_key: " + key + "\nallowed_ips: [" + address + "]\n" + more;
}

TEST_F(Load, peers_d_is_read_by_name) {
  write("config.yaml", "version: 1\n");
  write("peers.d/b.yaml", peer("b", kKeyB, "10.0.0.3"));
  write("peers.d/a.yaml", peer("a", kKeyA, "10.0.0.2"));
  write("peers.d/c.yaml~", "not read");
  write("peers.d/.d.yaml", "not read");
  const auto reading = load_config(path());
  ASSERT_THAT(said(), IsEmpty());
  ASSERT_THAT(reading->config.peers, SizeIs(2));
  EXPECT_EQ(reading->config.peers[0].name, "a");
  EXPECT_EQ(reading->config.peers[1].where.file, path("peers.d/b.yaml"));
}

TEST_F(Load, absent_file) {
  EXPECT_THAT(said(), ElementsAre(path() + ": cannot be read: No such file or directory"));
}

TEST_F(Load, folder_instead_of_a_file) {
  std::filesystem::create_directory(path());
  EXPECT_THAT(said(), ElementsAre(path() + ": cannot be read: not a regular file"));
}

TEST_F(Load, fifo_does_not_block) {
  write("config.yaml", "version: 1\n");
  std::filesystem::create_directory(path("peers.d"));
  ASSERT_EQ(mkfifo(path("peers.d/a.yaml").c_str(), 0600), 0);
  EXPECT_THAT(said(), ElementsAre(path("peers.d/a.yaml") + ": cannot be read: not a regular file"));
}

TEST_F(Load, huge_file) {
  write("config.yaml", "version: 1\n");
  std::filesystem::resize_file(path(), 1ULL << 40);  // sparse: reading it all would not end
  EXPECT_THAT(said(), ElementsAre(path() + ": the file is larger than 8 MiB"));
}

TEST_F(Load, secret) {
  write("config.yaml", "version: 1\nnode: {private_key: file:own.key}\n");
  write("own.key", kSecret);
  const auto reading = load_config(path());
  ASSERT_THAT(said(), IsEmpty());
  EXPECT_EQ(reading->config.node.private_key_file, path("own.key"));
  EXPECT_TRUE(reading->config.node.private_key.has_value());
}

TEST_F(Load, secret_that_others_may_use) {
  write("config.yaml", "version: 1\nnode: {private_key: file:own.key}\n");
  for (const mode_t mode : {0644U, 0640U, 0604U, 0620U, 0601U}) {
    write("own.key", kSecret, mode);
    const auto complaint = said();
    ASSERT_THAT(complaint, SizeIs(1)) << mode;
    EXPECT_THAT(complaint[0], HasSubstr(":2:21: private_key: cannot read \"" + path("own.key") +
                                        "\": others than its owner may use it (mode 0"));
    EXPECT_THAT(complaint[0], HasSubstr("(chmod 600 " + path("own.key") + ")"));
  }
  write("own.key", kSecret, 0640);
  EXPECT_THAT(said(), ElementsAre(HasSubstr("(mode 0640)")));
  write("own.key", kSecret, 0400);
  EXPECT_THAT(said(), IsEmpty());
}

TEST_F(Load, secret_behind_a_file) {
  write("config.yaml", "version: 1\nnode: {private_key: file:config.yaml/own.key}\n");
  EXPECT_THAT(said(), ElementsAre(HasSubstr("Not a directory")));
}

TEST_F(Load, this_machine_knows_time_zones) {
  write("config.yaml",
        "version: 1\nrules:\n  - {from: ['*'], to: [lan], when: ['08:00-18:00 Europe/Berlin', "
        "'08:00-18:00 US/Eastern', '08:00-18:00 UTC', '08:00-18:00 Etc/GMT+5']}\n");
  EXPECT_THAT(said(), IsEmpty());
  write("config.yaml",
        "version: 1\nrules:\n  - {from: ['*'], to: [lan], when: ['08:00-18:00 Europe/Berln']}\n");
  EXPECT_THAT(said(), ElementsAre(HasSubstr("did you mean \"Europe/Berlin\"?")));
}

}  // namespace
}  // namespace sallyport::options
