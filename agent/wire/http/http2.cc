// SPDX-License-Identifier: BSD-3-Clause
#include "agent/wire/http/http2.h"

#include <nghttp2/nghttp2.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <map>
#include <utility>

namespace sallyport::http {
namespace {

constexpr size_t kMaxReason = 200;

Fail<Error> h2_fail(int code, const std::string& doing) {
  return fail(EPROTO, "HTTP/2 " + doing + ": " + nghttp2_strerror(code));
}

nghttp2_nv field_of(std::string_view name, std::string_view value) {
  const auto bytes = [](std::string_view text) {
    return const_cast<uint8_t*>(reinterpret_cast<const uint8_t*>(text.data()));  // nghttp2 copies
  };
  return {bytes(name), bytes(value), name.size(), value.size(), NGHTTP2_NV_FLAG_NONE};
}

std::string_view text_of(const uint8_t* data, size_t bytes) {
  return {reinterpret_cast<const char*>(data), bytes};
}

}  // namespace

// Lives at one place: nghttp2 keeps a pointer to it.
struct Http2::State {
  struct Stream {
    Head head;
    size_t head_bytes = 0;
    bool head_seen = false;  // handed on
    bool ended = false;      // by the peer
    std::string body;        // ours
    size_t body_sent = 0;
    bool body_complete = false;
    bool deferred = false;
  };
  struct Freer {
    void operator()(nghttp2_session* session) const { nghttp2_session_del(session); }
  };

  std::unique_ptr<nghttp2_session, Freer> session;
  bool is_server = false;
  std::map<int32_t, Stream> streams;
  std::vector<Event> events;

  static std::unique_ptr<State> make(bool server);
  int on_header(int32_t id, std::string_view name, std::string_view value);
  void on_frame(const nghttp2_frame& frame);
  ssize_t read_body(int32_t id, uint8_t* out, size_t room, uint32_t* flags);
  nghttp2_data_provider body_of();
};

int Http2::State::on_header(int32_t id, std::string_view name, std::string_view value) {
  const auto found = streams.find(id);
  if (found == streams.end()) return 0;
  Stream& stream = found->second;
  stream.head_bytes += name.size() + value.size();
  if (stream.head_bytes > kMaxHead) return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
  Head& head = stream.head;
  if (stream.head_seen) return 0;  // trailers: nobody asks for them
  if (name == ":status") {
    std::from_chars(value.data(), value.data() + value.size(), head.status);
  } else if (name == ":method") {
    head.method = value;
  } else if (name == ":path") {
    head.path = value;
  } else if (name == ":authority") {
    head.authority = value;
  } else if (!name.starts_with(':')) {
    head.fields.push_back({std::string(name), std::string(value)});
  }
  return 0;
}

void Http2::State::on_frame(const nghttp2_frame& frame) {
  if (frame.hd.type == NGHTTP2_GOAWAY) {
    const auto why = text_of(frame.goaway.opaque_data, frame.goaway.opaque_data_len);
    events.push_back(GoAway{StreamId{frame.goaway.last_stream_id}, frame.goaway.error_code,
                            std::string(why.substr(0, kMaxReason))});
    return;
  }
  const bool head = frame.hd.type == NGHTTP2_HEADERS;
  if (!head && frame.hd.type != NGHTTP2_DATA) return;
  const auto found = streams.find(frame.hd.stream_id);
  if (found == streams.end()) return;
  Stream& stream = found->second;
  if (head && !stream.head_seen) {
    // An informational response is no answer yet (100 ... 199).
    if (!is_server && stream.head.status / 100 == 1) {
      stream.head = {.stream = stream.head.stream};
      return;
    }
    stream.head_seen = true;
    events.push_back(std::exchange(stream.head, {}));
  }
  if ((frame.hd.flags & NGHTTP2_FLAG_END_STREAM) != 0 && !std::exchange(stream.ended, true)) {
    events.push_back(End{StreamId{frame.hd.stream_id}});
  }
}

ssize_t Http2::State::read_body(int32_t id, uint8_t* out, size_t room, uint32_t* flags) {
  const auto found = streams.find(id);
  if (found == streams.end()) return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;  // cancelled
  Stream& stream = found->second;
  const size_t count = std::min(room, stream.body.size() - stream.body_sent);
  std::copy_n(stream.body.data() + stream.body_sent, count, out);
  stream.body_sent += count;
  if (stream.body_sent == stream.body.size()) {
    stream.body.clear();
    stream.body_sent = 0;
    if (stream.body_complete) {
      *flags |= NGHTTP2_DATA_FLAG_EOF;
    } else if (count == 0) {
      stream.deferred = true;
      return NGHTTP2_ERR_DEFERRED;
    }
  }
  return static_cast<ssize_t>(count);
}

nghttp2_data_provider Http2::State::body_of() {
  return {{.ptr = this},
          [](nghttp2_session*, int32_t id, uint8_t* out, size_t room, uint32_t* flags,
             nghttp2_data_source* source,
             void*) { return static_cast<State*>(source->ptr)->read_body(id, out, room, flags); }};
}

std::unique_ptr<Http2::State> Http2::State::make(bool server) {
  auto state = std::make_unique<State>();
  state->is_server = server;

  nghttp2_session_callbacks* callbacks = nullptr;
  nghttp2_session_callbacks_new(&callbacks);
  nghttp2_session_callbacks_set_on_begin_headers_callback(
      callbacks, [](nghttp2_session*, const nghttp2_frame* frame, void* self) {
        auto& streams = static_cast<State*>(self)->streams;
        const int32_t id = frame->hd.stream_id;
        if (frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
          streams[id].head.stream = StreamId{id};
        }
        return 0;
      });
  nghttp2_session_callbacks_set_on_header_callback(
      callbacks,
      [](nghttp2_session*, const nghttp2_frame* frame, const uint8_t* name, size_t name_bytes,
         const uint8_t* value, size_t value_bytes, uint8_t, void* self) {
        return static_cast<State*>(self)->on_header(frame->hd.stream_id, text_of(name, name_bytes),
                                                    text_of(value, value_bytes));
      });
  nghttp2_session_callbacks_set_on_frame_recv_callback(
      callbacks, [](nghttp2_session*, const nghttp2_frame* frame, void* self) {
        static_cast<State*>(self)->on_frame(*frame);
        return 0;
      });
  nghttp2_session_callbacks_set_on_data_chunk_recv_callback(
      callbacks,
      [](nghttp2_session*, uint8_t, int32_t id, const uint8_t* data, size_t bytes, void* self) {
        auto& state = *static_cast<State*>(self);
        if (state.streams.contains(id)) {
          state.events.push_back(Data{StreamId{id}, Bytes(data, data + bytes)});
        }
        return 0;
      });
  nghttp2_session_callbacks_set_on_stream_close_callback(
      callbacks, [](nghttp2_session*, int32_t id, uint32_t code, void* self) {
        auto& state = *static_cast<State*>(self);
        const auto found = state.streams.find(id);
        if (found == state.streams.end()) return 0;
        if (!found->second.ended || code != NGHTTP2_NO_ERROR)
          state.events.push_back(Reset{StreamId{id}, code});
        state.streams.erase(found);
        return 0;
      });

  nghttp2_session* session = nullptr;
  const int made = server ? nghttp2_session_server_new(&session, callbacks, state.get())
                          : nghttp2_session_client_new(&session, callbacks, state.get());
  nghttp2_session_callbacks_del(callbacks);
  if (made != 0) return nullptr;  // out of memory
  state->session.reset(session);

  const nghttp2_settings_entry settings[] = {
      {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, server ? kMaxStreams : 0},
      {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
      {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, kWindow},
      {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, kMaxHead},
  };
  (void)nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, settings, std::size(settings));
  (void)nghttp2_session_set_local_window_size(session, NGHTTP2_FLAG_NONE, 0, kWindow);
  return state;
}

Http2::Http2(std::unique_ptr<State> state) : state_(std::move(state)) {}
Http2::Http2(Http2&&) noexcept = default;
Http2& Http2::operator=(Http2&&) noexcept = default;
Http2::~Http2() = default;
Http2 Http2::client() { return Http2{State::make(false)}; }
Http2 Http2::server() { return Http2{State::make(true)}; }

Result<std::vector<Event>> Http2::receive(ByteView bytes) {
  const ssize_t used = nghttp2_session_mem_recv(state_->session.get(), bytes.data(), bytes.size());
  if (used < 0) return h2_fail(static_cast<int>(used), "receive");
  return std::exchange(state_->events, {});
}

Bytes Http2::take_outgoing(size_t limit) {
  Bytes out;
  while (out.size() < limit) {
    const uint8_t* data = nullptr;
    const ssize_t count = nghttp2_session_mem_send(state_->session.get(), &data);
    if (count <= 0) break;  // below 0: out of memory, and the connection will say so by its silence
    out.insert(out.end(), data, data + count);
  }
  return out;
}

std::vector<Event> Http2::take_events() { return std::exchange(state_->events, {}); }

bool Http2::closed() const {
  return nghttp2_session_want_read(state_->session.get()) == 0 &&
         nghttp2_session_want_write(state_->session.get()) == 0;
}

Result<StreamId> Http2::request(const Head& head, std::string body) {
  std::vector<nghttp2_nv> fields = {field_of(":method", head.method), field_of(":scheme", "https"),
                                    field_of(":authority", head.authority),
                                    field_of(":path", head.path)};
  for (const Field& field : head.fields) fields.push_back(field_of(field.name, field.value));
  const bool has_body = !body.empty();
  const nghttp2_data_provider provider = state_->body_of();
  const int32_t id = nghttp2_submit_request(state_->session.get(), nullptr, fields.data(),
                                            fields.size(), has_body ? &provider : nullptr, nullptr);
  if (id < 0) return h2_fail(id, "request");
  State::Stream stream;
  stream.head.stream = StreamId{id};
  stream.body = std::move(body);
  stream.body_complete = true;
  state_->streams.emplace(id, std::move(stream));
  return StreamId{id};
}

Result<void> Http2::respond(const Head& head, std::string body, bool end) {
  const auto id = static_cast<int32_t>(head.stream);
  const auto found = state_->streams.find(id);
  if (found == state_->streams.end()) return fail(EPIPE, "HTTP/2 response to a closed stream");
  const std::string status = std::to_string(head.status);
  std::vector<nghttp2_nv> fields = {field_of(":status", status)};
  for (const Field& field : head.fields) fields.push_back(field_of(field.name, field.value));
  found->second.body = std::move(body);
  found->second.body_complete = end;
  const bool has_body = !end || !found->second.body.empty();
  const nghttp2_data_provider provider = state_->body_of();
  const int done = nghttp2_submit_response(state_->session.get(), id, fields.data(), fields.size(),
                                           has_body ? &provider : nullptr);
  if (done != 0) return h2_fail(done, "response");
  return {};
}

Result<void> Http2::send(StreamId stream, ByteView bytes, bool end) {
  const auto id = static_cast<int32_t>(stream);
  const auto found = state_->streams.find(id);
  if (found == state_->streams.end() || found->second.body_complete) {
    return fail(EPIPE, "HTTP/2 body of a closed stream");
  }
  State::Stream& out = found->second;
  out.body.append(text_of(bytes.data(), bytes.size()));
  out.body_complete = end;
  if (std::exchange(out.deferred, false)) {
    (void)nghttp2_session_resume_data(state_->session.get(), id);
  }
  return {};
}

size_t Http2::queued(StreamId stream) const {
  const auto found = state_->streams.find(static_cast<int32_t>(stream));
  if (found == state_->streams.end()) return 0;
  return found->second.body.size() - found->second.body_sent;
}

void Http2::cancel(StreamId stream) {
  const auto id = static_cast<int32_t>(stream);
  if (state_->streams.erase(id) == 0) return;
  (void)nghttp2_submit_rst_stream(state_->session.get(), NGHTTP2_FLAG_NONE, id, NGHTTP2_CANCEL);
}

}  // namespace sallyport::http
