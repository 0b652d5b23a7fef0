// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"context"
	"io"
	"net/http"
	"strings"
	"time"

	"tailscale.com/tstest/integration/testcontrol"
)

type c2nAnswer struct {
	Status int    `json:"status"`
	Body   string `json:"body"`
}

// c2n asks a node something by way of its long poll.
func c2n(control *testcontrol.Server, node, method, path, body string) (any, error) {
	nodeKey, err := nodeOf(node)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, "http://c2n"+path, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	response, err := control.NodeRoundTripper(nodeKey).RoundTrip(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return c2nAnswer{response.StatusCode, string(text)}, err
}
