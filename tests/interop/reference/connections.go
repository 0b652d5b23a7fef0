// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"context"
	"net"
	"sync"
)

// Every connection of the control server, also those that it has handed on (Hijack).
var connections tracker

type tracker struct {
	mu   sync.Mutex
	open map[net.Conn]bool
}

func (t *tracker) add(ctx context.Context, c net.Conn) context.Context {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.open == nil {
		t.open = map[net.Conn]bool{}
	}
	t.open[c] = true
	return ctx
}

func (t *tracker) closeAll() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for c := range t.open {
		c.Close()
	}
	t.open = nil
}
