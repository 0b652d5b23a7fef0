// SPDX-License-Identifier: BSD-3-Clause
// The agent's ear, by a loop and a socket: what is asked, what is refused, and who follows.
#include "agent/drive/agent/control_server.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <list>

#include "tests/unit/drive/client.h"
#include "tests/unit/io/drive.h"

namespace sallyport {
namespace {

class control : public testing::Test {
 protected:
  void SetUp() override {
    std::string folder = "/tmp/sallyport-control-XXXXXX";
    ASSERT_NE(::mkdtemp(folder.data()), nullptr);
    folder_ = folder;
    path_ = folder + "/agent.sock";
    auto listener = io::listen_unix(path_, 0600);
    ASSERT_TRUE(listener) << listener.error().text();
    auto server = ControlServer::create(
        *loop_, std::move(*listener),
        [this](const std::string& verb, const Json& args) { return answer(verb, args); });
    ASSERT_TRUE(server) << server.error().text();
    server_ = std::move(*server);
  }
  void TearDown() override {
    ::unlink(path_.c_str());
    ::rmdir(folder_.c_str());
  }
  ControlAnswer answer(const std::string& verb, const Json& args) {
    asked_.push_back(verb);
    if (verb == "echo") return Json{{"args", args}};
    if (verb == "number") return Json{{"n", args.value("n", 0)}};
    if (verb == "bytes") return Json{{"text", std::string("a\xff") + "b"}};
    InputError error{{"config.yaml", 7, 3}, "no such peer", "say laptop"};
    return Fail{refusal_of(ExitCode::kInvalidInput, {error, {{}, "and more", {}}})};
  }
  /// The whole answer to what is sent.
  std::string ask(std::string_view request) {
    Client client(path_);
    client.send(request);
    EXPECT_TRUE(io::run_until(*loop_, [&] { return client.ended(); }));
    return client.heard();
  }
  static Json parsed(const std::string& line) { return Json::parse(line, nullptr, false); }

  std::unique_ptr<io::Loop> loop_ = io::make_loop();
  std::string folder_;
  std::string path_;
  std::unique_ptr<ControlServer> server_;
  std::vector<std::string> asked_;
};

TEST_F(control, answers_one_line_and_ends) {
  EXPECT_EQ(ask("{\"verb\":\"echo\",\"args\":{\"n\":1}}\n"), "{\"v\":1,\"args\":{\"n\":1}}\n");
  EXPECT_EQ(ask("{\"verb\":\"echo\"}\n"), "{\"v\":1,\"args\":{}}\n");
}

TEST_F(control, a_request_may_come_in_pieces_and_only_the_first_counts) {
  Client client(path_);
  client.send("{\"verb\":");
  io::settle(*loop_);
  EXPECT_TRUE(asked_.empty());
  client.send("\"echo\"}\n{\"verb\":\"echo\"}\n");
  EXPECT_TRUE(io::run_until(*loop_, [&] { return client.ended(); }));
  EXPECT_EQ(client.heard(), "{\"v\":1,\"args\":{}}\n");
  EXPECT_EQ(asked_.size(), 1U);
}

TEST_F(control, a_refusal_says_where_and_what_to_do) {
  const Json error = parsed(ask("{\"verb\":\"reload\"}\n"))["error"];
  EXPECT_EQ(error, (Json{{"code", static_cast<int>(ExitCode::kInvalidInput)},
                         {"message", "no such peer"},
                         {"file", "config.yaml"},
                         {"line", 7},
                         {"column", 3},
                         {"hint", "say laptop"},
                         {"more", {"and more"}}}));
}

TEST_F(control, what_is_no_request_is_refused_unasked) {
  for (const char* request : {"\n", "hello\n", "[]\n", "{\"verb\":7}\n", "{\"verb\":\"echo\"\n",
                              "\"verb\"\n", "{\"args\":{}}\n", "\xff\xfe\n"}) {
    SCOPED_TRACE(request);
    const Json answer = parsed(ask(request));
    ASSERT_TRUE(answer.contains("error"));
    EXPECT_EQ(answer["error"]["code"], static_cast<int>(ExitCode::kUsage));
  }
  EXPECT_TRUE(asked_.empty());
}

TEST_F(control, a_request_without_end_is_cut_off) {
  const Json answer = parsed(ask(std::string(ControlServer::kLongestRequest + 1, 'x')));
  ASSERT_TRUE(answer.contains("error"));
  EXPECT_TRUE(asked_.empty());
}

TEST_F(control, the_longest_request_is_heard) {
  std::string request = R"({"verb":"echo","args":{"x":")";
  request.append(ControlServer::kLongestRequest - request.size() - 3, 'x');
  EXPECT_TRUE(parsed(ask(request + "\"}}\n")).contains("args"));
}

TEST_F(control, arguments_of_another_type_are_refused) {
  for (const char* request :
       {"{\"verb\":\"number\",\"args\":7}\n", "{\"verb\":\"number\",\"args\":[]}\n",
        "{\"verb\":\"number\",\"args\":{\"n\":\"x\"}}\n"}) {
    EXPECT_EQ(parsed(ask(request))["error"]["code"], static_cast<int>(ExitCode::kUsage)) << request;
  }
  EXPECT_EQ(parsed(ask("{\"verb\":\"number\",\"args\":{\"n\":7}}\n"))["n"], 7);
}

TEST_F(control, another_user_is_refused) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root";
  ASSERT_EQ(::chmod(folder_.c_str(), 0755), 0);
  ASSERT_EQ(::chmod(path_.c_str(), 0666), 0);
  // Who connects is who it was at that moment.
  ASSERT_EQ(::seteuid(65534), 0);
  Client stranger(path_);
  ASSERT_EQ(::seteuid(0), 0);
  EXPECT_TRUE(io::run_until(*loop_, [&] { return stranger.ended(); }));
  const Json error = parsed(stranger.heard())["error"];
  EXPECT_EQ(error["code"], static_cast<int>(ExitCode::kRefused));
  EXPECT_EQ(error["message"], "only root is answered");
  EXPECT_EQ(error["hint"], "try it with sudo");
  EXPECT_TRUE(asked_.empty());
  EXPECT_EQ(ask("{\"verb\":\"echo\"}\n"), "{\"v\":1,\"args\":{}}\n");
}

TEST_F(control, more_clients_than_may_be_are_told_so) {
  std::list<Client> quiet;
  for (size_t n = 0; n < ControlServer::kMostClients; ++n) quiet.emplace_back(path_);
  const Json error = parsed(ask(""))["error"];
  EXPECT_EQ(error["code"], static_cast<int>(ExitCode::kFailed));
  quiet.pop_front();
  std::string answer;
  ASSERT_TRUE(io::run_until(*loop_, [&] {
    loop_->post([] {});
    Client next(path_);
    next.send("{\"verb\":\"echo\"}\n");
    EXPECT_TRUE(io::run_until(*loop_, [&] { return next.ended(); }));
    answer = next.heard();
    return !parsed(answer).contains("error");
  }));
  EXPECT_EQ(answer, "{\"v\":1,\"args\":{}}\n");
}

TEST_F(control, what_is_no_text_is_replaced) {
  EXPECT_EQ(ask("{\"verb\":\"bytes\"}\n"),
            "{\"v\":1,\"text\":\"a\xef\xbf\xbd"
            "b\"}\n");
}

TEST_F(control, followers_hear_everything_until_they_go) {
  Client one(path_);
  Client two(path_);
  EXPECT_FALSE(server_->has_followers());
  one.send("{\"verb\":\"drops-follow\"}\n");
  two.send("{\"verb\":\"drops-follow\"}\n");
  const auto both_follow = [&] {
    server_->publish({{"probe", true}});
    one.ended();
    two.ended();
    return !one.heard().empty() && !two.heard().empty();
  };
  ASSERT_TRUE(io::run_until(*loop_, [&] {
    loop_->post([] {});  // looks again though nothing comes
    return both_follow();
  }));
  server_->publish({{"n", 5}});
  const std::string wanted = "{\"v\":1,\"n\":5}\n";
  ASSERT_TRUE(io::run_until(*loop_, [&] {
    return (one.ended(), one.heard().ends_with(wanted)) &&
           (two.ended(), two.heard().ends_with(wanted));
  }));
  one.hang_up();
  two.hang_up();
  EXPECT_TRUE(io::run_until(*loop_, [&] { return !server_->has_followers(); }));
  EXPECT_TRUE(asked_.empty());
}

TEST_F(control, the_socket_is_for_its_owner_only) {
  struct stat socket{};
  ASSERT_EQ(::stat(path_.c_str(), &socket), 0);
  EXPECT_EQ(socket.st_mode & 07777U, 0600U);
}

TEST_F(control, a_client_that_leaves_without_a_word_harms_nobody) {
  {
    Client client(path_);
    client.send("{\"verb\":");
  }
  EXPECT_EQ(ask("{\"verb\":\"echo\"}\n"), "{\"v\":1,\"args\":{}}\n");
}

}  // namespace
}  // namespace sallyport
