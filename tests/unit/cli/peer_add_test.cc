// SPDX-License-Identifier: BSD-3-Clause
// `peer add` from its command line to its files, with an agent that offers and reloads.
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>
#include <utility>

#include "agent/base/fd.h"
#include "agent/cli/app.h"
#include "agent/model/keys.h"
#include "agent/options/load.h"

namespace sallyport::cli {
namespace {

using Json = nlohmann::ordered_json;

/// Answers the verbs one connection at a time, as often as it has answers.
class FakeAgent {
 public:
  FakeAgent(const std::string& path, std::vector<Json> answers)
      : socket_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)), answers_(std::move(answers)) {
    sockaddr_un at{};
    at.sun_family = AF_UNIX;
    std::memcpy(at.sun_path, path.data(), path.size());
    EXPECT_EQ(::bind(socket_.raw(), reinterpret_cast<const sockaddr*>(&at), sizeof at), 0);
    EXPECT_EQ(::listen(socket_.raw(), 4), 0);
    thread_ = std::thread([this] { serve(); });
  }
  FakeAgent(const FakeAgent&) = delete;
  FakeAgent& operator=(const FakeAgent&) = delete;
  ~FakeAgent() {
    ::shutdown(socket_.raw(), SHUT_RDWR);  // wakes accept()
    thread_.join();
  }
  /// After all answers have been asked for.
  std::vector<Json> asked() {
    ::shutdown(socket_.raw(), SHUT_RDWR);
    if (thread_.joinable()) thread_.join();
    thread_ = std::thread([] {});
    return asked_;
  }

 private:
  void serve() {
    for (const Json& answer : answers_) {
      const Fd client(::accept4(socket_.raw(), nullptr, nullptr, SOCK_CLOEXEC));
      if (!client.valid()) return;
      std::string line;
      for (char c = 0; c != '\n' && ::recv(client.raw(), &c, 1, 0) == 1;) line += c;
      asked_.push_back(Json::parse(line, nullptr, false));
      const std::string text = answer.dump() + "\n";
      ::send(client.raw(), text.data(), text.size(), MSG_NOSIGNAL);
    }
  }

  Fd socket_;
  std::vector<Json> answers_;
  std::vector<Json> asked_;
  std::thread thread_;
};

class peer_add : public testing::Test {
 protected:
  void SetUp() override {
    std::string folder = "/tmp/sallyport-peer-XXXXXX";
    ASSERT_NE(::mkdtemp(folder.data()), nullptr);
    folder_ = folder;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  [[nodiscard]] Json offer() const {
    return {{"v", 1},
            {"addresses", {"10.90.0.2/32", "fd90::2/128"}},
            {"reachable", {"10.90.0.0/24", "192.168.1.0/24"}},
            {"dns", {"192.168.1.1"}},
            {"mtu", 1420},
            {"node_key", gateway_.public_key().text()},
            {"endpoint", "vpn.example.org:51820"},
            {"peers_dir", folder_ + "/peers.d"}};
  }
  int run_cli(std::vector<std::string> words) {
    words.insert(words.begin(), {"sallyport", "--run", folder_});
    std::vector<char*> argv;
    for (std::string& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    testing::internal::CaptureStdout();
    testing::internal::CaptureStderr();
    const int code = run(static_cast<int>(words.size()), argv.data());
    std::fflush(stdout);
    out_ = testing::internal::GetCapturedStdout();
    err_ = testing::internal::GetCapturedStderr();
    return code;
  }
  /// What stands behind "NAME = " in the printed configuration.
  [[nodiscard]] std::string printed(const std::string& name) const {
    const size_t at = out_.find(name + " = ");
    if (at == std::string::npos) return {};
    const size_t begin = at + name.size() + 3;
    return out_.substr(begin, out_.find('\n', begin) - begin);
  }
  [[nodiscard]] std::string socket() const { return folder_ + "/agent.sock"; }
  /// All that stands in files below the folder.
  [[nodiscard]] std::string all_files() const {
    std::stringstream all;
    for (const auto& each : std::filesystem::recursive_directory_iterator(folder_)) {
      if (each.is_regular_file()) all << std::ifstream(each.path()).rdbuf();
    }
    return all.str();
  }

  std::string folder_, out_, err_;
  PrivateKey gateway_ = PrivateKey::generate();
};

TEST_F(peer_add, writes_the_peer_and_prints_its_configuration_once) {
  FakeAgent agent(socket(), {offer(), {{"v", 1}, {"policy_version", "x"}}});
  ASSERT_EQ(run_cli({"peer", "add", "phone"}), 0) << err_;
  const std::vector<Json> asked = agent.asked();
  ASSERT_EQ(asked.size(), 2U);
  EXPECT_EQ(asked[0]["verb"], "peer-offer");
  EXPECT_EQ(asked[0]["args"]["name"], "phone");
  EXPECT_EQ(asked[1]["verb"], "reload");

  // What is printed is a whole configuration of wg-quick's.
  const auto secret = PrivateKey::parse(printed("PrivateKey"));
  ASSERT_TRUE(secret) << out_;
  EXPECT_EQ(printed("Address"), "10.90.0.2/32, fd90::2/128");
  EXPECT_EQ(printed("DNS"), "192.168.1.1");
  EXPECT_EQ(printed("MTU"), "1420");
  EXPECT_EQ(printed("PublicKey"), gateway_.public_key().text());
  EXPECT_EQ(printed("AllowedIPs"), "10.90.0.0/24, 192.168.1.0/24");
  EXPECT_EQ(printed("Endpoint"), "vpn.example.org:51820");
  EXPECT_EQ(printed("PersistentKeepalive"), "25");
  EXPECT_NE(err_.find("peers.d/phone.yaml holds the peer"), std::string::npos) << err_;

  // The gateway's half, as it is read there.
  for (const char* name : {"/peers.d/phone.yaml", "/peers.d/phone.psk"}) {
    struct stat file{};
    ASSERT_EQ(::stat((folder_ + name).c_str(), &file), 0) << name;
    EXPECT_EQ(file.st_mode & 07777U, 0600U) << name;
  }
  std::ofstream(folder_ + "/config.yaml") << "version: 1\nnode: {addresses: [10.90.0.1/24]}\n";
  ASSERT_EQ(::chmod((folder_ + "/config.yaml").c_str(), 0600), 0);
  const auto reading = options::load_config(folder_ + "/config.yaml");
  ASSERT_TRUE(reading) << reading.error().front().text();
  ASSERT_EQ(reading->config.peers.size(), 1U);
  const PeerConfig& peer = reading->config.peers[0];
  EXPECT_EQ(peer.name, "phone");
  EXPECT_EQ(peer.public_key, secret->public_key());
  EXPECT_EQ(peer.allowed_ips,
            (std::vector{*Prefix::parse("10.90.0.2/32"), *Prefix::parse("fd90::2/128")}));
  ASSERT_TRUE(peer.preshared_key);
  EXPECT_EQ(peer.preshared_key->reveal_text(), printed("PresharedKey"));

  // The private key is on paper only.
  EXPECT_EQ(all_files().find(printed("PrivateKey")), std::string::npos);
}

TEST_F(peer_add, shows_it_as_a_code_if_asked_and_as_json) {
  {
    FakeAgent agent(socket(), {offer(), {{"v", 1}}});
    ASSERT_EQ(run_cli({"peer", "add", "phone", "--qr"}), 0) << err_;
    EXPECT_NE(out_.find("█"), std::string::npos);
    EXPECT_FALSE(printed("PrivateKey").empty());
  }
  ::unlink(socket().c_str());
  FakeAgent agent(socket(), {offer(), {{"v", 1}}});
  ASSERT_EQ(run_cli({"--json", "peer", "add", "tablet"}), 0) << err_;
  const Json answer = Json::parse(out_, nullptr, false);
  EXPECT_EQ(answer.begin().key(), "v");
  EXPECT_EQ(answer["name"], "tablet");
  EXPECT_EQ(answer["file"], folder_ + "/peers.d/tablet.yaml");
  EXPECT_EQ(all_files().find(printed("PrivateKey")), std::string::npos);
}

TEST_F(peer_add, a_peer_that_is_there_stays_as_it_is) {
  std::filesystem::create_directory(folder_ + "/peers.d");
  std::ofstream(folder_ + "/peers.d/phone.yaml") << "peers: []\n";
  FakeAgent agent(socket(), {offer()});
  EXPECT_EQ(run_cli({"peer", "add", "phone"}), 1);
  EXPECT_NE(err_.find("peers.d/phone.yaml"), std::string::npos) << err_;
  EXPECT_EQ(all_files(), "peers: []\n") << "and no key is left";
  EXPECT_EQ(out_, "");
}

TEST_F(peer_add, a_configuration_that_is_refused_leaves_nothing) {
  const Json refusal{{"v", 1},
                     {"error",
                      {{"code", 3},
                       {"message", "unknown key"},
                       {"file", "config.yaml"},
                       {"line", 7},
                       {"column", 3},
                       {"hint", "say peers"}}}};
  FakeAgent agent(socket(), {offer(), refusal});
  EXPECT_EQ(run_cli({"peer", "add", "phone"}), 3);
  EXPECT_NE(err_.find("config.yaml:7:3: unknown key"), std::string::npos) << err_;
  EXPECT_EQ(all_files(), "");
  EXPECT_EQ(out_, "") << "no key of a peer that is not";
}

}  // namespace
}  // namespace sallyport::cli
