// SPDX-License-Identifier: BSD-3-Clause

// Wireguard stands where the kernel's WireGuard would: an unmodified userspace WireGuard, one TUN a
// device, for the network namespace it was started in. It serves an abstract socket, which belongs
// to the namespace too, one question a connection: a line "VERB DEVICE", for "set" followed by lines
// of the configuration protocol (https://www.wireguard.com/xplatform/), up to the end of what the
// other side sends. The answer is what the protocol says, last of all "errno=N" and a line of text
// about it.
package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"

	"golang.zx2c4.com/wireguard/conn"
	"golang.zx2c4.com/wireguard/device"
	"golang.zx2c4.com/wireguard/tun"
)

const (
	address = "@sallyport-userspace-wireguard"
	// Packets that wait in the TUN; the kernel's own queues hold 1,024 a peer.
	queue = "4096"
)

type devices struct {
	mu  sync.Mutex
	all map[string]*device.Device
}

func (d *devices) find(name string) (*device.Device, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if found := d.all[name]; found != nil {
		return found, nil
	}
	return nil, syscall.ENODEV
}

func (d *devices) create(name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.all[name] != nil {
		return syscall.EEXIST
	}
	link, err := tun.CreateTUN(name, device.DefaultMTU)
	if err != nil {
		return err
	}
	// As WireGuard sets up its devices: no link-local address, no multicast.
	set := exec.Command("ip", "link", "set", "dev", name, "txqueuelen", queue, "multicast", "off",
		"addrgenmode", "none")
	if said, err := set.CombinedOutput(); err != nil {
		link.Close()
		return fmt.Errorf("%s: %w", bytes.TrimSpace(said), err)
	}
	made := device.NewDevice(link, conn.NewDefaultBind(),
		device.NewLogger(device.LogLevelError, name+": "))
	d.all[name] = made
	go func() {
		<-made.Wait() // closed by us, or the link is gone
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.all[name] == made {
			delete(d.all, name)
		}
	}()
	return nil
}

func (d *devices) remove(name string) error {
	d.mu.Lock()
	found := d.all[name]
	delete(d.all, name)
	d.mu.Unlock()
	if found == nil {
		return syscall.ENODEV
	}
	found.Close()
	return nil
}

func (d *devices) obey(verb, name string, rest io.Reader, answer io.Writer) error {
	switch verb {
	case "create":
		return d.create(name)
	case "delete":
		return d.remove(name)
	}
	found, err := d.find(name)
	if err != nil {
		return err
	}
	switch verb {
	case "get":
		return found.IpcGetOperation(answer)
	case "set":
		return found.IpcSetOperation(rest)
	}
	return syscall.EINVAL
}

func number(err error) int {
	var errno syscall.Errno
	var refusal *device.IPCError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &errno):
		return int(errno)
	case errors.As(err, &refusal):
		return max(int(refusal.ErrorCode()), -int(refusal.ErrorCode()))
	}
	return int(syscall.EIO)
}

func (d *devices) serve(client net.Conn) {
	defer client.Close()
	in := bufio.NewReader(client)
	line, err := in.ReadString('\n')
	if err != nil {
		return
	}
	verb, name, _ := strings.Cut(strings.TrimSpace(line), " ")
	var answer bytes.Buffer
	err = d.obey(verb, name, in, &answer)
	fmt.Fprintf(&answer, "errno=%d\n", number(err))
	if err != nil {
		fmt.Fprintln(&answer, err)
		log.Printf("%s %s: %v", verb, name, err)
	}
	client.Write(answer.Bytes())
}

func main() {
	log.SetFlags(log.Lmicroseconds)
	listener, err := net.Listen("unix", address)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Fprintln(os.Stdout, "serving")
	all := devices{all: map[string]*device.Device{}}
	for {
		client, err := listener.Accept()
		if err != nil {
			log.Fatal(err)
		}
		go all.serve(client)
	}
}
