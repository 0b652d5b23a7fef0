// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

type page struct {
	Status int    `json:"status"`
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"`
}

// get fetches a page over a connection of its own.
func (n *node) get(ctx context.Context, o *order) (*page, error) {
	client := &http.Client{Transport: &http.Transport{DialContext: n.server.Dial, DisableKeepAlives: true}}
	request, err := http.NewRequestWithContext(ctx, "GET", o.URL, nil)
	if err != nil {
		return nil, err
	}
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	sum := sha256.New()
	length, err := io.Copy(sum, response.Body)
	if err != nil {
		return nil, fmt.Errorf("after %d bytes: %w", length, err)
	}
	return &page{response.StatusCode, length, hex.EncodeToString(sum.Sum(nil))}, nil
}

func noise(length int) []byte {
	out := make([]byte, length)
	for i := range out {
		out[i] = byte(rand.Uint32())
	}
	return out
}

// echo sends bytes over TCP to a server that sends them back, and compares.
func (n *node) echo(ctx context.Context, o *order) (any, error) {
	connection, err := n.server.Dial(ctx, "tcp", o.To)
	if err != nil {
		return nil, err
	}
	defer connection.Close()
	if err := exchange(ctx, connection, noise(o.Bytes)); err != nil {
		return nil, err
	}
	return map[string]any{"from": connection.LocalAddr().String()}, nil
}

func exchange(ctx context.Context, connection net.Conn, sent []byte) error {
	if deadline, ok := ctx.Deadline(); ok {
		connection.SetDeadline(deadline)
	}
	failed := make(chan error, 1)
	go func() {
		_, err := connection.Write(sent)
		failed <- err
	}()
	back := make([]byte, len(sent))
	if at, err := io.ReadFull(connection, back); err != nil {
		return fmt.Errorf("after %d bytes: %w", at, err)
	}
	if err := <-failed; err != nil {
		return err
	}
	if !bytes.Equal(sent, back) {
		return fmt.Errorf("other bytes came back")
	}
	return nil
}

// datagrams sends one datagram after the other to an echo server until one comes back.
func (n *node) datagrams(ctx context.Context, o *order) (any, error) {
	connection, err := n.server.Dial(ctx, "udp", o.To)
	if err != nil {
		return nil, err
	}
	defer connection.Close()
	sent := noise(o.Bytes)
	back := make([]byte, len(sent)+1)
	for tries := 1; ctx.Err() == nil; tries++ {
		if _, err := connection.Write(sent); err != nil {
			return nil, err
		}
		connection.SetReadDeadline(time.Now().Add(250 * time.Millisecond))
		length, err := connection.Read(back)
		if err != nil {
			if timeout, ok := err.(net.Error); ok && timeout.Timeout() {
				continue
			}
			return nil, err
		}
		if !bytes.Equal(back[:length], sent) {
			return nil, fmt.Errorf("another datagram came back: %d bytes", length)
		}
		return map[string]any{"tries": tries}, nil
	}
	return nil, ctx.Err()
}

// listen answers on the node's own addresses with what it is sent.
func (n *node) listen(ctx context.Context, o *order) (any, error) {
	if o.Type == "udp" {
		ip4, _ := n.server.TailscaleIPs()
		socket, err := n.server.ListenPacket("udp", fmt.Sprintf("%s:%d", ip4, o.Port))
		if err != nil {
			return nil, err
		}
		go func() {
			buffer := make([]byte, 64<<10)
			for {
				length, from, err := socket.ReadFrom(buffer)
				if err != nil {
					return
				}
				socket.WriteTo(buffer[:length], from)
			}
		}()
		return map[string]any{"port": socket.LocalAddr().(*net.UDPAddr).Port}, nil
	}
	listener, err := n.server.Listen("tcp", fmt.Sprintf(":%d", o.Port))
	if err != nil {
		return nil, err
	}
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer connection.Close()
				io.Copy(connection, connection)
			}()
		}
	}()
	return nil, nil
}

// ask puts one question to a DNS server: the addresses of a name.
func (n *node) ask(ctx context.Context, o *order) ([]string, error) {
	name, err := dnsmessage.NewName(o.Question)
	if err != nil {
		return nil, err
	}
	message := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: uint16(rand.Uint32()), RecursionDesired: true},
		Questions: []dnsmessage.Question{{Name: name, Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET}},
	}
	packed, err := message.Pack()
	if err != nil {
		return nil, err
	}
	connection, err := n.server.Dial(ctx, "udp", o.To)
	if err != nil {
		return nil, err
	}
	defer connection.Close()
	if deadline, ok := ctx.Deadline(); ok {
		connection.SetDeadline(deadline)
	}
	if _, err := connection.Write(packed); err != nil {
		return nil, err
	}
	buffer := make([]byte, 1500)
	length, err := connection.Read(buffer)
	if err != nil {
		return nil, err
	}
	var answer dnsmessage.Message
	if err := answer.Unpack(buffer[:length]); err != nil {
		return nil, err
	}
	var out []string
	for _, one := range answer.Answers {
		if a, ok := one.Body.(*dnsmessage.AResource); ok {
			out = append(out, net.IP(a.A[:]).String())
		}
	}
	return out, nil
}
