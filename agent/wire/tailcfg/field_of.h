// SPDX-License-Identifier: BSD-3-Clause
/// Makes a Field of a pointer to a member. Private to this room.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "agent/wire/tailcfg/json_field.h"
#include "agent/wire/tailcfg/json_reader.h"
#include "agent/wire/tailcfg/json_writer.h"

namespace sallyport::tailcfg {

template <class Member>
struct MemberPointer;
template <class T, class M>
struct MemberPointer<M T::*> {
  using Owner = T;
  using Type = M;
};
template <auto member>
using OwnerOf = typename MemberPointer<decltype(member)>::Owner;
template <auto member>
using TypeOf = typename MemberPointer<decltype(member)>::Type;

template <auto member>
constexpr Field<OwnerOf<member>> field(std::string_view name,
                                       Presence presence = Presence::kUnlessZero) {
  using T = OwnerOf<member>;
  return {
      .name = name,
      .presence = presence,
      .read = [](JsonReader& in, JsonValue value, T& out) { read(in, value, out.*member); },
      .write = [](const T& from) { return write(from.*member); },
      .is_zero =
          [](const T& from) {
            if constexpr (requires { (from.*member).has_value(); }) {
              return !(from.*member).has_value();
            } else {
              return from.*member == TypeOf<member>{};
            }
          },
  };
}

/// Of what other members of the tailnet said of themselves: see JsonReader::PassedOn.
template <auto member>
constexpr Field<OwnerOf<member>> passed_on(std::string_view name,
                                           Presence presence = Presence::kUnlessZero) {
  auto out = field<member>(name, presence);
  out.read = [](JsonReader& in, JsonValue value, OwnerOf<member>& to) {
    const JsonReader::PassedOn scope(in);
    read(in, value, to.*member);
  };
  return out;
}

}  // namespace sallyport::tailcfg
