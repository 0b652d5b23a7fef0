// SPDX-License-Identifier: BSD-3-Clause
#include "agent/node/control/poll.h"

#include <string_view>
#include <utility>

namespace sallyport::control {
namespace {

// Memory of a large netmap that later frames do not need.
constexpr size_t kKeptJson = size_t{256} * 1024;

std::string text_of(map_frame::MapFrameError error) {
  switch (error) {
    case map_frame::MapFrameError::kEmpty:
      return "an empty map frame";
    case map_frame::MapFrameError::kTooLong:
      return "a map frame that is too long";
    case map_frame::MapFrameError::kNotZstd:
      return "a map frame that is no zstd";
  }
  return {};
}

}  // namespace

Result<tailcfg::MapResponse, std::string> Poll::decode(ByteView payload) {
  if (const auto done = decompressor_.decompress(payload, json_); !done) {
    return Fail{text_of(done.error())};
  }
  auto response = tailcfg::parse_map_response(
      std::string_view(reinterpret_cast<const char*>(json_.data()), json_.size()));
  if (json_.capacity() > kKeptJson) json_ = {};
  if (!response) return Fail{std::string("a map response that cannot be read")};
  if (!response->keep_alive && !seen_node_) {
    if (!response->node) return Fail{std::string("the first map response is without our node")};
    seen_node_ = true;
  }
  return std::move(response).value();
}

Result<std::vector<tailcfg::MapResponse>, std::string> Poll::on_data(ByteView bytes, Instant now) {
  waiting_.insert(waiting_.end(), bytes.begin(), bytes.end());
  std::vector<tailcfg::MapResponse> responses;
  size_t at = 0;
  while (true) {
    const auto payload = map_frame::next(ByteView(waiting_).subspan(at));
    if (!payload) return Fail{text_of(payload.error())};
    if (!*payload) break;
    responses.push_back(TRY(decode(**payload)));
    at += map_frame::kHead + (*payload)->size();
    last_frame_ = now;
  }
  waiting_.erase(waiting_.begin(), waiting_.begin() + static_cast<ptrdiff_t>(at));
  return responses;
}

}  // namespace sallyport::control
