// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"sync"
	"time"
)

// flow is traffic that goes on beside the orders.
type flow interface {
	now() any
	// stop ends the sending, waits for what is under way, and ends.
	stop()
}

func (n *node) start(ctx context.Context, o *order) error {
	if n.flows[o.Name] != nil {
		return fmt.Errorf("%s flows already", o.Name)
	}
	connection, err := n.server.Dial(ctx, o.Type, o.To)
	if err != nil {
		return err
	}
	switch o.Type {
	case "udp":
		n.flows[o.Name] = newStream(connection, o.PerSecond)
	default:
		n.flows[o.Name] = newPump(connection)
	}
	return nil
}

func (n *node) report(o *order) (any, error) {
	f := n.flows[o.Name]
	if f == nil {
		return nil, fmt.Errorf("no flow %s", o.Name)
	}
	if o.Do == "stop" {
		f.stop()
		delete(n.flows, o.Name)
	}
	return f.now(), nil
}

// count says how a flow fares. Silences are between two arrivals, the one under way included.
type count struct {
	Sent       uint64 `json:"sent"`
	Received   uint64 `json:"received"`
	Duplicates uint64 `json:"duplicates"`
	SilentMS   int64  `json:"silent_ms"`  // since the last arrival
	LongestMS  int64  `json:"longest_ms"` // silence, ever
	Error      string `json:"error,omitempty"`

	last time.Time
}

func (c *count) onArrival(number uint64) {
	now := time.Now()
	c.LongestMS = max(c.LongestMS, now.Sub(c.last).Milliseconds())
	c.Received += number
	c.last = now
}

func (c *count) at(now time.Time) count {
	out := *c
	out.SilentMS = now.Sub(c.last).Milliseconds()
	out.LongestMS = max(out.LongestMS, out.SilentMS)
	return out
}

// stream is numbered datagrams to an echo server at a steady rate.
type stream struct {
	connection net.Conn
	quit       chan struct{}
	sent       chan struct{} // closed when the sending has ended
	mu         sync.Mutex
	count      count
	seen       map[uint64]bool
}

func newStream(connection net.Conn, perSecond int) *stream {
	s := &stream{connection: connection, quit: make(chan struct{}), sent: make(chan struct{}),
		seen: map[uint64]bool{}, count: count{last: time.Now()}}
	go s.send(time.Second / time.Duration(max(perSecond, 1)))
	go s.receive()
	return s
}

func (s *stream) send(every time.Duration) {
	defer close(s.sent)
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	var packet [64]byte
	for number := uint64(0); ; number++ {
		select {
		case <-s.quit:
			return
		case <-ticker.C:
		}
		binary.LittleEndian.PutUint64(packet[:], number)
		// Counted first: nothing comes back that is not among the sent.
		s.mu.Lock()
		s.count.Sent++
		s.mu.Unlock()
		if _, err := s.connection.Write(packet[:]); err != nil {
			s.mu.Lock()
			s.count.Error = err.Error()
			s.mu.Unlock()
		}
	}
}

func (s *stream) receive() {
	var packet [128]byte
	for {
		length, err := s.connection.Read(packet[:])
		if err != nil {
			return
		}
		if length != 64 {
			continue
		}
		number := binary.LittleEndian.Uint64(packet[:])
		s.mu.Lock()
		if s.seen[number] {
			s.count.Duplicates++
		} else {
			s.seen[number] = true
			s.count.onArrival(1)
		}
		s.mu.Unlock()
	}
}

func (s *stream) now() any {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.count.at(time.Now())
}

func (s *stream) stop() {
	close(s.quit)
	<-s.sent
	for end := time.Now().Add(3 * time.Second); time.Now().Before(end); {
		s.mu.Lock()
		all := s.count.Received == s.count.Sent
		s.mu.Unlock()
		if all {
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	s.connection.Close()
}

// pump is a TCP connection over which bytes go to an echo server and back all the time.
type pump struct {
	connection net.Conn
	quit, done chan struct{}
	mu         sync.Mutex
	count      count
}

func newPump(connection net.Conn) *pump {
	p := &pump{connection: connection, quit: make(chan struct{}), done: make(chan struct{}),
		count: count{last: time.Now()}}
	go p.run()
	return p
}

func (p *pump) run() {
	defer close(p.done)
	const round = 4000
	for {
		select {
		case <-p.quit:
			return
		case <-time.After(10 * time.Millisecond): // its pace
		}
		p.mu.Lock()
		p.count.Sent += round
		p.mu.Unlock()
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		err := exchange(ctx, p.connection, noise(round))
		cancel()
		p.mu.Lock()
		if err != nil {
			p.count.Error = err.Error()
		} else {
			p.count.onArrival(round)
		}
		p.mu.Unlock()
		if err != nil {
			return
		}
	}
}

func (p *pump) now() any {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.count.at(time.Now())
}

func (p *pump) stop() {
	close(p.quit)
	select { // a connection that hears nothing more is not waited for
	case <-p.done:
	case <-time.After(3 * time.Second):
	}
	p.connection.Close()
	<-p.done
}
