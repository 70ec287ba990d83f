package store

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"net"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
)

// proxy stands between a Log and PostgreSQL and breaks connections at the moments that matter. It understands as much of
// the protocol as that takes: where a message ends, what carries an append's data, and that the server's ReadyForQuery is
// the end of its answer, which it sends when it has committed.
type proxy struct {
	server   string
	listener net.Listener
	ended    sync.WaitGroup

	mu    sync.Mutex
	away  bool // no connection comes through
	links map[*link]bool
	cuts  []*cut
}

// A cut breaks the connection that carries a statement with its mark among the arguments, once.
type cut struct {
	mark []byte
	skip int // so many of them are let through first
	when moment
	then func()        // called when it is done, before the client can notice
	done chan struct{} // closed when the client can notice
}

type moment int

const (
	beforeRequest moment = iota // the server never hears of the append
	duringRequest               // the server has the append, and carries on with it when the client is gone
	beforeAnswer                // the server has committed, and the client is not told
	duringAnswer                // the client gets rows, and never hears that they stand
)

func newProxy(t *testing.T, server string) *proxy {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{server: server, listener: listener, links: map[*link]bool{}}
	p.ended.Go(p.accept)
	t.Cleanup(func() {
		listener.Close()
		p.takeAway()
		p.ended.Wait()
	})
	return p
}

// proxied is a service pool whose connections go through a proxy.
func (d *database) proxied(t *testing.T, change ...func(*pgxpool.Config)) (*pgxpool.Pool, *proxy) {
	t.Helper()
	config := d.owner.Config().ConnConfig
	p := newProxy(t, net.JoinHostPort(config.Host, strconv.Itoa(int(config.Port))))
	address := p.listener.Addr().(*net.TCPAddr)
	through := func(c *pgxpool.Config) {
		c.ConnConfig.Host, c.ConnConfig.Port = "127.0.0.1", uint16(address.Port)
	}
	return d.service(t, append(change, through)...), p
}

// cut arranges for a cut.
func (p *proxy) cut(mark string, skip int, when moment, then func()) *cut {
	c := &cut{mark: []byte(mark), skip: skip, when: when, then: then, done: make(chan struct{})}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cuts = append(p.cuts, c)
	return c
}

// takeAway breaks all connections and lets no new one through, until bringBack.
func (p *proxy) takeAway() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.away = true
	for l := range p.links {
		if l.underWay() == nil { // else it breaks in its own way
			l.close()
		}
	}
}

// freeze has all connections that there are stay open and carry nothing any more, as when the other side has lost its power.
func (p *proxy) freeze() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.links {
		l.frozen.Store(true)
	}
}

func (p *proxy) bringBack() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.away = false
}

func (p *proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		server, err := (&net.Dialer{}).DialContext(context.Background(), "tcp", p.server)
		if err != nil {
			client.Close()
			continue
		}
		l := &link{proxy: p, client: client, server: server}
		p.mu.Lock()
		if p.links[l] = true; p.away {
			l.close()
		}
		p.mu.Unlock()
		var pumps sync.WaitGroup
		pumps.Go(l.requests)
		pumps.Go(l.answers)
		p.ended.Go(func() {
			pumps.Wait()
			l.close()
			p.mu.Lock()
			defer p.mu.Unlock()
			delete(p.links, l)
		})
	}
}

// due is the cut that this message calls for, if there is one.
func (p *proxy) due(message []byte) *cut {
	const bind = 'B'
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, c := range p.cuts {
		if message[0] != bind || !bytes.Contains(message, c.mark) {
			continue
		}
		if c.skip--; c.skip < 0 {
			p.cuts = append(p.cuts[:i:i], p.cuts[i+1:]...)
			return c
		}
	}
	return nil
}

// link is one connection through the proxy.
type link struct {
	proxy          *proxy
	client, server net.Conn

	frozen atomic.Bool

	mu  sync.Mutex
	cut *cut // being carried out
}

func (l *link) close() {
	l.client.Close()
	l.server.Close()
}

// carryOut lets the client notice, and with it only.
func (l *link) carryOut(c *cut) {
	if c.then != nil {
		c.then()
	}
	l.client.Close()
	close(c.done)
}

func (l *link) requests() {
	const sync = 'S'
	first, err := read(l.client, 0) // it has no type
	if err != nil || cancels(first) {
		l.close()
		return
	}
	if _, err := l.server.Write(first); err != nil {
		l.close()
		return
	}
	for {
		message, err := read(l.client, 1)
		if err != nil {
			l.halfClose()
			return
		}
		if l.frozen.Load() {
			continue
		}
		c := l.proxy.due(message)
		if c != nil {
			l.mu.Lock()
			l.cut = c
			l.mu.Unlock()
			if c.when == beforeRequest {
				l.server.Close()
				l.carryOut(c)
				return
			}
		}
		if _, err := l.server.Write(message); err != nil {
			l.close()
			return
		}
		if c := l.underWay(); c != nil && c.when == duringRequest && message[0] == sync {
			l.carryOut(c)
			return
		}
	}
}

func (l *link) answers() {
	const commandComplete, readyForQuery = 'C', 'Z'
	for {
		message, err := read(l.server, 1)
		if err != nil {
			l.client.Close()
			return
		}
		c := l.underWay()
		if c == nil || c.when == duringAnswer && message[0] != commandComplete && message[0] != readyForQuery {
			if _, err := l.client.Write(message); err != nil {
				l.server.Close()
				return
			}
			continue
		}
		if message[0] == readyForQuery { // and what came before it was dropped
			if c.when == beforeAnswer || c.when == duringAnswer {
				l.carryOut(c)
			}
			l.server.Close()
			return
		}
	}
}

// halfClose is what the client's end means for the server: nothing, while a cut has it carry on alone.
func (l *link) halfClose() {
	if l.underWay() == nil {
		l.server.Close()
	}
}

func (l *link) underWay() *cut {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.cut
}

// cancels tells whether a connection is only for asking the server to cancel what another one does. pgx does so when that
// breaks; where a network breaks, it does not get through either.
func cancels(first []byte) bool {
	const cancelRequest = 80877102
	return len(first) == 16 && binary.BigEndian.Uint32(first[4:]) == cancelRequest
}

// read reads one message: its type, of which the first one has none, and its length with what follows.
func read(from io.Reader, kind int) ([]byte, error) {
	message := make([]byte, kind+4)
	if _, err := io.ReadFull(from, message); err != nil {
		return nil, err
	}
	rest := make([]byte, binary.BigEndian.Uint32(message[kind:])-4)
	_, err := io.ReadFull(from, rest)
	return slices.Concat(message, rest), err
}
