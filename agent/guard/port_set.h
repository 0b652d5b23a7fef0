// SPDX-License-Identifier: BSD-3-Clause
/// The kernel's notation for sets of ports, as in net/ipv4/ip_local_reserved_ports.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace sallyport {

/// "1-3,51820" with `port` in it, in the form in which the kernel reads it back: sorted, adjacent
/// ports joined. Text that is no such set counts as empty.
/// Source: kernel/sysctl.c proc_do_large_bitmap.
std::string with_port(std::string_view set, uint16_t port);
std::string without_port(std::string_view set, uint16_t port);
bool has_port(std::string_view set, uint16_t port);

}  // namespace sallyport
