package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"time"
)

type healthCommand struct {
	URL       string        `help:"The service to ask, such as http://10.0.0.7:8080. Without it: the one that serves on this machine by the settings below."`
	Ready     bool          `help:"Ask whether requests should come to it, and not only whether it lives."`
	Timeout   time.Duration `help:"How long to wait for the answer." default:"5s"`
	Addr      string        `env:"FOOF_ADDR" default:":8080" help:"As for foof serve."`
	AdminAddr string        `env:"FOOF_ADMIN_ADDR" help:"As for foof serve."`
}

func (healthCommand) Help() string {
	return "Ends with exit code 0 if the answer is yes. For health checks where there is no curl."
}

// Run asks.
func (h healthCommand) Run(ctx context.Context, t terminal) error {
	base, path := h.URL, "/healthz"
	if base == "" {
		var err error
		if base, err = h.here(); err != nil {
			return err
		}
	}
	if h.Ready {
		path = "/readyz"
	}
	ctx, cancel := context.WithTimeout(ctx, h.Timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, base+path, http.NoBody)
	if err != nil {
		return fmt.Errorf("health: %w", err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("health: %w", err)
	}
	defer response.Body.Close()
	var said struct {
		Status string `json:"status"`
		Info   string `json:"info"`
	}
	if err := json.NewDecoder(response.Body).Decode(&said); err != nil {
		return fmt.Errorf("health: %s answers %s, and no JSON: is it a foof?", base+path, response.Status)
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("health: %s (%s)", said.Info, response.Status)
	}
	fmt.Fprintln(t.out, said.Status)
	return nil
}

// here is the service of this machine.
func (h healthCommand) here() (string, error) {
	addr := h.Addr
	if h.AdminAddr != "" {
		addr = h.AdminAddr
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return "", fmt.Errorf("health: %w", err)
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "localhost"
	}
	return "http://" + net.JoinHostPort(host, port), nil
}
