// SPDX-License-Identifier: BSD-3-Clause

// Command vectors writes ../../vectors/*.txt: bytes that tailscale.com's own code makes, or, where
// a message has only a reader there, bytes that its reader takes for what the name says.
// Run it in its folder: go run .
package main

import (
	"bytes"
	crand "crypto/rand"
	"encoding/hex"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"runtime/debug"
)

// counting is a source of "randomness" that says start, start+1, ... anew on each read, so that
// every run writes the same vectors.
type counting byte

func (start counting) Read(out []byte) (int, error) {
	for i := range out {
		out[i] = byte(start) + byte(i)
	}
	return len(out), nil
}

func random(start byte) { crand.Reader = counting(start) }

// file collects the lines of one vector file.
type file struct {
	name string
	text bytes.Buffer
}

func moduleVersion() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		log.Fatal("no build info")
	}
	for _, dep := range info.Deps {
		if dep.Path == "tailscale.com" {
			return dep.Version
		}
	}
	log.Fatal("not built with tailscale.com")
	return ""
}

func newFile(name string) *file {
	f := &file{name: name}
	fmt.Fprintln(&f.text, "# SPDX-License-Identifier: BSD-3-Clause")
	fmt.Fprintf(&f.text, "# Made by tests/interop/vectors with tailscale.com %s (BSD-3-Clause).\n", moduleVersion())
	fmt.Fprintln(&f.text, "# name = bytes in hex, or \"text\"")
	return f
}

func (f *file) hex(name string, data []byte) {
	fmt.Fprintf(&f.text, "%s = %s\n", name, hex.EncodeToString(data))
}

func (f *file) quoted(name, text string) { fmt.Fprintf(&f.text, "%s = \"%s\"\n", name, text) }

func (f *file) write() {
	if err := os.WriteFile(filepath.Join("..", "..", "vectors", f.name+".txt"), f.text.Bytes(), 0o644); err != nil {
		log.Fatal(err)
	}
}

func must[T any](value T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return value
}

func main() {
	for _, make := range []func() *file{keys, disco, stun, geneve, tsmp, noise, derp, mapFrame} {
		make().write()
	}
}
