// SPDX-License-Identifier: BSD-3-Clause
/// A session and a control server that does as a test says, with a network of values between them.
#pragma once

#include <gtest/gtest.h>

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "agent/node/control/session.h"
#include "agent/wire/http/http1.h"
#include "agent/wire/http/http2.h"
#include "agent/wire/map_frame/map_frame.h"
#include "agent/wire/noise/early.h"
#include "agent/wire/noise/handshake.h"
#include "agent/wire/tailcfg/map_request.h"
#include "agent/wire/tailcfg/map_response.h"
#include "agent/wire/tailcfg/registration.h"
#include "agent/wire/tailcfg/server_key.h"
#include "tests/support/seeded_random.h"

namespace sallyport::control {

using namespace std::chrono_literals;

inline Bytes bytes_of(std::string_view text) { return {text.begin(), text.end()}; }

/// The server's end of one connection.
class ServerEnd {
 public:
  struct Asked {
    http::StreamId stream{};
    std::string method;
    std::string path;
    std::string body;
    bool complete = false;
  };

  ServerEnd(PrivateKey key, RandomSource& random, bool early)
      : key_(std::move(key)), random_(random), early_(early) {}

  /// What it says to that.
  Bytes receive(ByteView bytes) {
    in_.insert(in_.end(), bytes.begin(), bytes.end());
    if (!transport_) first_words();
    if (transport_) read_records();
    return take();
  }
  Bytes take() {
    Bytes out = std::exchange(out_, {});
    if (!transport_) return out;
    for (Bytes plain = http2_.take_outgoing(); !plain.empty(); plain = http2_.take_outgoing()) {
      for (ByteView rest = plain; !rest.empty();) {
        const size_t count = std::min(rest.size(), noise::kMaxPlain);
        seal(rest.first(count), out);
        rest = rest.subspan(count);
      }
    }
    return out;
  }
  void respond(http::StreamId stream, unsigned status, std::string body, http::Fields fields = {}) {
    EXPECT_TRUE(http2_.respond({.stream = stream, .status = status, .fields = std::move(fields)},
                               std::move(body), true));
  }
  void begin(http::StreamId stream) {
    EXPECT_TRUE(http2_.respond({.stream = stream, .status = 200}, {}, false));
  }
  void send(http::StreamId stream, ByteView bytes, bool end = false) {
    EXPECT_TRUE(http2_.send(stream, bytes, end));
  }

  std::vector<Asked> asked;
  std::vector<http::Request> plain;  // before, or instead of, an upgrade
  std::vector<http::StreamId> reset;
  std::string answer;                  // to everything in clear, if not empty
  std::optional<std::string> refusal;  // instead of the Noise response
  MachineKey client;

 private:
  void first_words() {
    http::RequestParser parser;
    const auto used = parser.read(in_);
    if (!used || !parser.done()) return;
    in_.clear();
    plain.push_back(parser.take());
    const http::Request& request = plain.back();
    if (!answer.empty()) {
      out_ = bytes_of(answer);
    } else if (request.target.find("/key?v=") != std::string::npos) {
      out_ = bytes_of(http::write(
          http::Response{.status = 200,
                         .reason = "OK",
                         .body = tailcfg::write_server_keys(
                             {.legacy_public_key = {}, .public_key = {key_.public_key().bytes}})}));
    } else if (request.target == noise::kUpgradePath) {
      upgrade(request);
    } else {
      out_ = bytes_of(http::write(http::Response{.status = 200, .reason = "OK"}));
    }
  }
  void upgrade(const http::Request& request) {
    const auto initiation = noise::parse_handshake_header(
        std::string(http::find(request.fields, noise::kHandshakeHeader).value_or("")));
    ASSERT_TRUE(initiation);
    out_ = bytes_of(http::write(http::Response{
        .status = 101,
        .reason = "Switching Protocols",
        .fields = {{"Upgrade", std::string(noise::kUpgradeProtocol)}, {"Connection", "upgrade"}}}));
    if (refusal) {
      std::array<uint8_t, 200> buffer{};
      const ByteView error = noise::write_error(*refusal, buffer);
      out_.insert(out_.end(), error.begin(), error.end());
      return;
    }
    auto accepted = noise::accept(*initiation, key_, clamped(random_.bytes<32>()));
    if (!accepted) {  // another server's key: it cannot even read this
      out_.insert(out_.end(), {2, 0, 48});
      out_.insert(out_.end(), 48, 7);
      return;
    }
    client = accepted->machine;
    out_.insert(out_.end(), accepted->response.begin(), accepted->response.end());
    transport_.emplace(std::move(accepted->transport));
    if (early_) seal(noise::write_early_payload({.node_key_challenge = {{1, 2, 3}}}), out_);
  }
  void seal(ByteView plain_text, Bytes& out) {
    std::array<uint8_t, noise::kMaxRecord> record{};
    const ByteView sealed = transport_->to_peer.seal(plain_text, record);
    ASSERT_FALSE(sealed.empty());
    out.insert(out.end(), sealed.begin(), sealed.end());
  }
  void read_records() {
    size_t at = 0;
    std::array<uint8_t, noise::kMaxPlain> plain_text{};
    while (true) {
      const auto record = noise::next_record(ByteView(in_).subspan(at));
      ASSERT_TRUE(record);
      if (!*record) break;
      at += (*record)->size();
      const auto opened = transport_->from_peer.open(**record, plain_text);
      ASSERT_TRUE(opened);
      const auto events = http2_.receive(*opened);
      ASSERT_TRUE(events) << events.error().text();
      for (const auto& event : *events) note(event);
    }
    in_.erase(in_.begin(), in_.begin() + static_cast<ptrdiff_t>(at));
  }
  void note(const http::Event& event) {
    const auto of = [this](http::StreamId stream) {
      return std::ranges::find(asked, stream, &Asked::stream);
    };
    if (const auto* head = std::get_if<http::Head>(&event)) {
      asked.push_back({head->stream, head->method, head->path, {}, false});
    } else if (const auto* data = std::get_if<http::Data>(&event)) {
      of(data->stream)->body.append(data->bytes.begin(), data->bytes.end());
    } else if (const auto* end = std::get_if<http::End>(&event)) {
      of(end->stream)->complete = true;
    } else if (const auto* gone = std::get_if<http::Reset>(&event)) {
      reset.push_back(gone->stream);
    }
  }

  PrivateKey key_;
  RandomSource& random_;
  bool early_;
  Bytes in_;
  Bytes out_;
  std::optional<noise::Transport> transport_;
  http::Http2 http2_ = http::Http2::server();
};

struct World {
  explicit World(const std::string& url = "http://127.0.0.1:9911", Session::Config config = {},
                 const Session::Stored& stored = {}, uint64_t seed = 7)
      : random(seed) {
    config.url = *ControlUrl::parse(url);
    session = std::make_unique<Session>(std::move(config), stored, random, moment());
    NodeInfo info;
    info.hostinfo = own_hostinfo("gw");
    info.disco_key.bytes[0] = 9;
    run(session->set_node(info, moment()));
  }

  [[nodiscard]] Moment moment() const { return {now, wall}; }
  void start() { run(session->start(moment())); }
  /// To what it asked for next.
  void wake() {
    const auto next = session->next_wake();
    ASSERT_TRUE(next);
    pass(std::max(*next - now, Duration{0}));
  }
  void pass(Duration time) {
    now += time;
    wall += time;
    run(session->on_wake(moment()));
  }
  /// Wakes it as it asks, until `done`; the time that it took.
  Duration until(const std::function<bool()>& done, Duration most = 1h) {
    const Instant begin = now;
    while (!done()) {
      if (now - begin > most || !session->next_wake()) {
        ADD_FAILURE() << "it does not come to that";
        break;
      }
      wake();
    }
    return now - begin;
  }

  void run(Actions actions) {
    for (Action& action : actions) {
      if (const auto* connect = std::get_if<Connect>(&action)) {
        connects.push_back(*connect);
        if (answers.empty() || answers.contains(connect->leg.port)) open(*connect);
      } else if (const auto* send = std::get_if<SendBytes>(&action)) {
        deliver(send->id, send->bytes);
      } else if (const auto* close = std::get_if<CloseConnection>(&action)) {
        ends.erase(close->id);
        closes.push_back(close->id);
      } else if (const auto* keys = std::get_if<SaveKeys>(&action)) {
        stored.keys = keys->text;
      } else if (const auto* netmap = std::get_if<SaveNetmap>(&action)) {
        stored.netmap = netmap->text;
      }
      log.push_back(std::move(action));
    }
    turn();
  }
  void open(const Connect& connect) {
    auto& end = ends.emplace(connect.id, ServerEnd(server_key, random, early)).first->second;
    if (const auto text = answer_on.find(connect.leg.port); text != answer_on.end()) {
      end.answer = text->second;
    }
    end.refusal = refusal;
    pending.push_back([this, id = connect.id] { run(session->on_connected(id, moment())); });
  }
  void deliver(ConnectionId id, const Bytes& sent) {
    const auto end = ends.find(id);
    if (end == ends.end()) return;
    const size_t before = end->second.plain.size();
    Bytes said = end->second.receive(sent);
    const auto& heads = end->second.plain;
    plain.insert(plain.end(), heads.begin() + static_cast<ptrdiff_t>(before), heads.end());
    say(id, std::move(said));
  }
  void say(ConnectionId id, Bytes bytes) {
    if (bytes.empty()) return;
    pending.push_back([this, id, bytes = std::move(bytes)] {
      if (!ends.contains(id)) return;
      for (size_t at = 0; at < bytes.size(); at += piece) {
        const size_t count = std::min(piece, bytes.size() - at);
        run(session->on_bytes(id, ByteView(bytes).subspan(at, count), moment()));
      }
    });
  }
  /// What the server has said outside of an answer.
  void flush() {
    for (auto& [id, end] : ends) say(id, end.take());
    turn();
  }
  void turn() {
    if (turning) return;
    turning = true;
    while (!pending.empty()) {
      const auto next = std::move(pending.front());
      pending.pop_front();
      next();
    }
    turning = false;
  }
  void hang_up(const std::string& why = {}) {
    const ConnectionId id = ends.begin()->first;
    ends.erase(id);
    run(session->on_closed(id, why, moment()));
  }

  [[nodiscard]] ServerEnd& server() {
    EXPECT_FALSE(ends.empty());
    return ends.rbegin()->second;
  }
  [[nodiscard]] bool has(const std::string& path) const {
    return !ends.empty() && std::ranges::any_of(ends.rbegin()->second.asked, [&](const auto& a) {
      return a.path == path && a.complete;
    });
  }
  /// The first complete request to this path that was not taken before.
  std::optional<ServerEnd::Asked> take(const std::string& path) {
    if (ends.empty()) return std::nullopt;
    auto& asked = server().asked;
    const auto found =
        std::ranges::find_if(asked, [&](const auto& a) { return a.path == path && a.complete; });
    if (found == asked.end()) return std::nullopt;
    ServerEnd::Asked out = *found;
    asked.erase(found);
    return out;
  }
  tailcfg::RegisterRequest take_register(http::StreamId& stream) {
    const auto asked = take("/machine/register");
    EXPECT_TRUE(asked);
    if (!asked) return {};
    stream = asked->stream;
    const auto request = tailcfg::parse_register_request(asked->body);
    EXPECT_TRUE(request) << asked->body;
    return request ? *request : tailcfg::RegisterRequest{};
  }
  tailcfg::MapRequest take_map(http::StreamId& stream) {
    const auto asked = take("/machine/map");
    EXPECT_TRUE(asked);
    if (!asked) return {};
    stream = asked->stream;
    const auto request = tailcfg::parse_map_request(asked->body);
    EXPECT_TRUE(request) << asked->body;
    return request ? *request : tailcfg::MapRequest{};
  }
  void answer(http::StreamId stream, const tailcfg::RegisterResponse& response) {
    server().respond(stream, 200, tailcfg::write_register_response(response));
    flush();
  }
  void frame(http::StreamId stream, const tailcfg::MapResponse& response) {
    const std::string json = tailcfg::write_map_response(response);
    Bytes framed;
    EXPECT_TRUE(
        compressor.append({reinterpret_cast<const uint8_t*>(json.data()), json.size()}, framed));
    server().send(stream, framed);
    flush();
  }
  static tailcfg::RegisterResponse welcome() {
    tailcfg::RegisterResponse response;
    response.user.id = UserId{1};
    response.login.login_name = "gw@example.com";
    response.machine_authorized = true;
    return response;
  }
  [[nodiscard]] NetmapNode node(int64_t id, const std::string& name) const {
    NetmapNode node;
    node.id = NodeId{id};
    node.stable_id = "n" + std::to_string(id);
    node.name = name + ".tail.example.";
    node.user = UserId{1};
    node.node_key.bytes[0] = static_cast<uint8_t>(id);
    node.node_key.bytes[31] = 1;
    node.disco_key.bytes[0] = static_cast<uint8_t>(id);
    node.machine_authorized = true;
    node.addresses = {*Prefix::parse("100.64.0." + std::to_string(id) + "/32")};
    return node;
  }
  [[nodiscard]] tailcfg::MapResponse whole(std::initializer_list<int64_t> peers) const {
    tailcfg::MapResponse response;
    response.node = node(1, "gw");
    response.node->node_key = session->identity().node.public_key();
    for (const int64_t id : peers) response.peers.push_back(node(id, "p" + std::to_string(id)));
    response.domain = "example.com";
    return response;
  }
  /// Registered, with a netmap of these peers; the stream of the poll.
  http::StreamId serve(std::initializer_list<int64_t> peers) {
    http::StreamId stream{};
    take_register(stream);
    answer(stream, welcome());
    return serve_map(peers);
  }
  http::StreamId serve_map(std::initializer_list<int64_t> peers) {
    http::StreamId poll{};
    EXPECT_TRUE(take_map(poll).stream);
    server().begin(poll);
    frame(poll, whole(peers));
    http::StreamId lite{};
    EXPECT_TRUE(take_map(lite).omit_peers);
    server().respond(lite, 200, {});
    flush();
    return poll;
  }
  template <class Kind>
  [[nodiscard]] std::vector<Kind> logged() const {
    std::vector<Kind> out;
    for (const Action& action : log) {
      if (const auto* kind = std::get_if<Kind>(&action)) out.push_back(*kind);
    }
    return out;
  }

  Instant now{1h};
  WallTime wall{std::chrono::sys_days{std::chrono::year{2026} / 12 / 1}};
  SeededRandom random;
  PrivateKey server_key = clamped(random.bytes<32>());
  bool early = false;
  size_t piece = SIZE_MAX;
  std::optional<std::string> refusal;
  std::set<uint16_t> answers;  // ports; empty: all
  std::map<uint16_t, std::string> answer_on;
  std::unique_ptr<Session> session;
  std::map<ConnectionId, ServerEnd> ends;
  std::deque<std::function<void()>> pending;
  bool turning = false;
  std::vector<Connect> connects;
  std::vector<http::Request> plain;  // all that was asked in clear
  std::vector<ConnectionId> closes;
  Actions log;
  Session::Stored stored;
  map_frame::Compressor compressor;
};

}  // namespace sallyport::control
