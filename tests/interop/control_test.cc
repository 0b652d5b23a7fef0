// SPDX-License-Identifier: BSD-3-Clause
// Our control session against the reference's control server, over TCP on lo:
//
//   this process: session, driver, loop  --TCP-->  tests/interop/reference: testcontrol
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <filesystem>

#include "agent/drive/node/control_driver.h"
#include "agent/drive/node/sandbox.h"
#include "agent/drive/node/state_file.h"
#include "tests/interop/reference.h"

namespace sallyport::interop {
namespace {

using control::SessionState;
using namespace std::chrono_literals;

constexpr size_t kStateLimit = size_t{1024} * 1024;

struct Folder {
  Folder() {
    std::string name = "/tmp/sallyport-interop-XXXXXX";
    EXPECT_NE(::mkdtemp(name.data()), nullptr);
    path = name;
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  ~Folder() { std::filesystem::remove_all(path); }
  std::string path;
};

/// A node with its state on the disk.
struct OurNode {
  OurNode(io::Loop& loop, const std::string& url, const std::string& folder,
          const std::string& auth_key = {})
      : keys(*StateFile::open(folder + "/keys", kStateLimit)),
        saved(*StateFile::open(folder + "/netmap", kStateLimit)) {
    ControlOptions options;
    options.session.url = *control::ControlUrl::parse(url);
    options.session.auth_key = auth_key;
    options.stored = {*keys.load(), *saved.load()};
    auto made = ControlDriver::create(
        loop, std::move(options),
        {.on_netmap =
             [this](const NetmapChanges& changes, bool whole) {
               ++netmaps;
               last_changes = changes;
               last_whole = whole;
             },
         .on_node_key = [this](const PrivateKey& key) { node_key = key; },
         .on_auth_url = [this](const std::string& to) { visit = to; },
         .save_keys = [this](std::string_view text) { return keys.store(text); },
         .save_netmap = [this](std::string_view text) { return saved.store(text); }});
    EXPECT_TRUE(made) << (made ? "" : made.error().text());
    driver = std::move(made).value();
    info.hostinfo = control::own_hostinfo("gw");
    info.disco_key.bytes = {7, 7, 7};
    driver->set_node(info);
    driver->start();
  }

  [[nodiscard]] std::string key_text() const {
    return node_key_text(driver->identity().node.public_key());
  }
  [[nodiscard]] bool serves() const {
    const auto status = driver->status();
    return status.state == SessionState::kServing && status.connected;
  }
  [[nodiscard]] bool knows(const std::string& name) const {
    for (const auto& [id, peer] : driver->netmap().peers) {
      if (peer.name.starts_with(name + ".")) return true;
    }
    return false;
  }

  StateFile keys;
  StateFile saved;
  control::NodeInfo info;
  int netmaps = 0;
  NetmapChanges last_changes;
  bool last_whole = false;
  std::optional<PrivateKey> node_key;
  std::string visit;
  std::unique_ptr<ControlDriver> driver;
};

class interop_control : public WithReference {
 protected:
  /// Our entry in the server's list.
  static Json entry_of(Reference& reference, const OurNode& node) {
    for (const Json& entry : reference.ask("nodes")) {
      if (entry["Key"] == node.key_text()) return entry;
    }
    return {};
  }

  Folder folder_;
};

TEST_F(interop_control, registers_and_gets_a_netmap) {
  Reference reference(*loop_, {"-auth-key=K"});
  OurNode node(*loop_, reference.control_url, folder_.path, "K--TLsignature");
  ASSERT_TRUE(until([&] { return node.serves(); })) << node.driver->status().error;
  const auto& self = node.driver->netmap().self;
  ASSERT_TRUE(self);
  EXPECT_EQ(self->name, "gw.tail.example.net.");
  EXPECT_EQ(self->addresses.size(), 2U);
  EXPECT_EQ(node.node_key, node.driver->identity().node);
  EXPECT_FALSE(node.driver->netmap().filters.empty());
}

TEST_F(interop_control, a_wrong_key_is_refused_and_said) {
  Reference reference(*loop_, {"-auth-key=K"});
  OurNode node(*loop_, reference.control_url, folder_.path, "L");
  ASSERT_TRUE(until([&] { return node.driver->status().state == SessionState::kNeedsLogin; }));
  EXPECT_EQ(node.driver->status().error, "invalid authkey");
}

TEST_F(interop_control, what_we_tell_of_ourselves_arrives) {
  Reference reference(*loop_, {});
  OurNode node(*loop_, reference.control_url, folder_.path);
  ASSERT_TRUE(until([&] { return node.serves(); }));
  node.info.endpoints = {*Endpoint::parse("192.0.2.7:4000")};
  node.info.endpoint_types = {tailcfg::EndpointType::kLocal};
  node.driver->set_node(node.info);
  Json entry;
  ASSERT_TRUE(until([&] {
    entry = entry_of(reference, node);
    return entry.contains("Endpoints");
  }));
  EXPECT_EQ(entry["Endpoints"], Json({"192.0.2.7:4000"}));
  EXPECT_EQ(entry["Cap"], 119);
  EXPECT_EQ(entry["Hostinfo"]["App"], "sallyport");
  EXPECT_EQ(entry["Hostinfo"]["OS"], "linux");
  EXPECT_EQ(entry["DiscoKey"], node.info.disco_key.text());
}

TEST_F(interop_control, another_node_comes_and_one_changes_alone) {
  Reference reference(*loop_, {});
  OurNode node(*loop_, reference.control_url, folder_.path);
  ASSERT_TRUE(until([&] { return node.serves(); }));
  reference.ask("fake first");
  reference.ask("fake second");
  ASSERT_TRUE(until([&] { return node.knows("first") && node.knows("second"); }));
  const auto peers = node.driver->netmap().peers;

  const NodeId second = std::prev(peers.end())->first;
  reference.ask("raw " + node.key_text() + R"( {"PeersChangedPatch":[{"NodeID":)" +
                std::to_string(static_cast<int64_t>(second)) +
                R"(,"Endpoints":["192.0.2.9:41641"]}]})");
  ASSERT_TRUE(until([&] { return !node.driver->netmap().peers.at(second).endpoints.empty(); }));
  EXPECT_FALSE(node.last_whole);
  EXPECT_EQ(node.last_changes.peers, (std::map<NodeId, uint8_t>{{second, kPeerPath}}));
}

TEST_F(interop_control, a_person_logs_in) {
  Reference reference(*loop_, {"-require-auth"});
  OurNode node(*loop_, reference.control_url, folder_.path);
  ASSERT_TRUE(until([&] { return !node.visit.empty(); }));
  EXPECT_EQ(node.driver->status().visit, node.visit);
  reference.ask("visit " + node.visit);
  ASSERT_TRUE(until([&] { return node.serves(); })) << node.driver->status().error;

  // Again, by wish: another key, the same node.
  const Json before = entry_of(reference, node);
  const NodeKey old_key = node.driver->identity().node.public_key();
  node.visit.clear();
  node.driver->login();
  ASSERT_TRUE(until([&] { return !node.visit.empty(); }));
  reference.ask("visit " + node.visit);
  ASSERT_TRUE(
      until([&] { return node.serves() && node.driver->identity().node.public_key() != old_key; }));
  EXPECT_EQ(entry_of(reference, node)["ID"], before["ID"]);
}

TEST_F(interop_control, the_server_goes_and_comes_back) {
  Reference reference(*loop_, {});
  OurNode node(*loop_, reference.control_url, folder_.path);
  ASSERT_TRUE(until([&] { return node.serves(); }));
  reference.ask("fake peer");
  ASSERT_TRUE(until([&] { return node.knows("peer"); }));
  reference.ask("stop");
  ASSERT_TRUE(until([&] { return !node.driver->status().connected; }));
  EXPECT_TRUE(node.knows("peer"));
  EXPECT_EQ(node.driver->status().state, SessionState::kServing);
  reference.ask("fake later");
  reference.ask("start");
  ASSERT_TRUE(until([&] { return node.serves() && node.knows("later"); }));
  EXPECT_TRUE(node.knows("peer"));
}

TEST_F(interop_control, the_netmap_outlives_us_and_the_server) {
  Reference reference(*loop_, {});
  {
    OurNode node(*loop_, reference.control_url, folder_.path);
    ASSERT_TRUE(until([&] { return node.serves(); }));
    reference.ask("fake peer");
    ASSERT_TRUE(until([&] { return node.knows("peer"); }));
    // What has changed is written a little later; a first frame at once.
    reference.ask("stop");
    ASSERT_TRUE(until([&] { return !node.driver->status().connected; }));
    reference.ask("start");
    ASSERT_TRUE(until([&] { return node.serves(); }));
    reference.ask("stop");
  }
  struct stat about{};
  for (const char* name : {"/keys.0", "/keys.1", "/netmap.0", "/netmap.1"}) {
    ASSERT_EQ(::stat((folder_.path + name).c_str(), &about), 0) << name;
    EXPECT_EQ(about.st_mode & 0777U, 0600U) << name;
  }
  OurNode node(*loop_, reference.control_url, folder_.path);
  EXPECT_TRUE(node.knows("peer"));
  EXPECT_TRUE(node.node_key);
  EXPECT_TRUE(node.driver->status().from_disk);
  EXPECT_EQ(node.driver->status().state, SessionState::kServing);
  reference.ask("start");
  ASSERT_TRUE(until([&] { return node.serves(); }));
  EXPECT_FALSE(node.driver->status().from_disk);
}

TEST_F(interop_control, pings_and_requests_to_the_node_are_answered) {
  Reference reference(*loop_, {});
  OurNode node(*loop_, reference.control_url, folder_.path);
  ASSERT_TRUE(until([&] { return node.serves(); }));
  reference.ask("ping " + node.key_text() + " 17");
  EXPECT_TRUE(until([&] { return reference.ask("requests HEAD /ping/17") == 1; }));
  const Json echo = reference.ask("c2n " + node.key_text() + " POST /echo hello");
  EXPECT_EQ(echo["status"], 200);
  EXPECT_EQ(echo["body"], "hello");
  EXPECT_EQ(reference.ask("c2n " + node.key_text() + " GET /debug/prefs")["status"], 400);
}

// All of it again, where it will live: no descriptor opened for writing, a restricted ring.
TEST_F(interop_control, works_inside_the_sandbox) {
  Reference reference(*loop_, {"-auth-key=K"});
  const pid_t child = ::fork();
  if (child == 0) {
    io::LoopOptions options;
    options.allowed_operations = io::own_operations();
    const auto loop = io::make_loop(options);
    OurNode node(*loop, reference.control_url, folder_.path, "K");
    if (!close_sandbox()) ::_exit(2);
    const bool up = io::run_until(*loop, [&] { return node.serves(); });
    ::_exit(up && !node.saved.load().value_or(std::string{}).empty() ? 0 : 1);
  }
  int status = -1;  // it has a deadline of its own
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0) << "exit " << WEXITSTATUS(status) << ", signal " << WTERMSIG(status);
}

}  // namespace
}  // namespace sallyport::interop
