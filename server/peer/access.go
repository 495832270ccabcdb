package peer

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/miekg/dns"

	"mxtrap/zone/conf"
)

// Peer is a word on other servers: an address or prefix, a key, or both, which then must both be right.
type Peer struct {
	Prefix netip.Prefix // not valid: any address
	port   uint16       // to send to
	Key    *Key         // nil: no signature is needed
}

// Same says whether two peers are one, of whichever load of the configuration.
func (p Peer) Same(other Peer) bool {
	return p.Prefix == other.Prefix && p.port == other.port && (p.Key == other.Key || p.Key != nil && p.Key.Same(other.Key))
}

// Address is where a peer is sent to.
func (p Peer) Address() string {
	return netip.AddrPortFrom(p.Prefix.Addr(), cmp.Or(p.port, 53)).String()
}

// Access says which clients may transfer zones, and which servers are notified of changes.
type Access struct {
	Allow  []Peer
	Notify []Peer
	Keys   map[string]*Key // by name
}

// Permits says whether a client may transfer zones.
func (t *Access) Permits(from netip.Addr, by *Key) bool {
	for _, p := range t.Allow {
		if (!p.Prefix.IsValid() || p.Prefix.Contains(from)) && (p.Key == nil || p.Key.Same(by)) {
			return true
		}
	}
	return false
}

// AccessOf reads the tables [keys] and [transfer].
func AccessOf(keys, transfer *conf.Table) (t Access) {
	t.readKeys(keys)
	t.readPeers(transfer)
	return t
}

// readKeys reads the table of keys.
func (t *Access) readKeys(table *conf.Table) {
	t.Keys = map[string]*Key{}
	for _, name := range table.Keys() {
		text := ""
		table.String(name, &text)
		k, err := ParseKey(name, text)
		if err != nil {
			table.Fault(name, "", err.Error())
			continue
		}
		t.Keys[k.Name] = k
	}
	table.Close()
}

// readPeers reads the table [transfer].
func (t *Access) readPeers(table *conf.Table) {
	for _, item := range table.Strings("allow") {
		p, err := t.ParsePeer(item.Text)
		switch {
		case err != nil:
			item.Fault(err.Error())
		case p.port != 0:
			item.Fault("an allowed client has no port; leave it out")
		default:
			t.Allow = append(t.Allow, p)
		}
	}
	for _, item := range table.Strings("notify") {
		p, err := t.ParsePeer(item.Text)
		switch {
		case err != nil:
			item.Fault(err.Error())
			continue
		case !p.Prefix.IsSingleIP():
			item.Fault("not a single address; name the server to notify")
			continue
		case p.port == 0:
			p.port = 53
		}
		t.Notify = append(t.Notify, p)
	}
	table.Close()
}

// ErrNotPeer says that a text names no server.
var ErrNotPeer = errors.New(`not a server: write "192.0.2.2", "192.0.2.0/24", "192.0.2.2 key NAME" or "key NAME"`)

// ParsePeer reads "[ADDRESS[:PORT]|PREFIX] [key NAME]".
func (t *Access) ParsePeer(text string) (p Peer, err error) {
	words := strings.Fields(text)
	if n := len(words); n >= 2 && words[n-2] == "key" {
		if p.Key = t.Keys[dns.CanonicalName(words[n-1])]; p.Key == nil {
			return p, fmt.Errorf("no key %q; add it to [keys]", words[n-1])
		}
		words = words[:n-2]
	}
	if len(words) == 0 && p.Key != nil {
		return p, nil
	}
	if len(words) != 1 {
		return p, ErrNotPeer
	}
	if a, err := netip.ParseAddrPort(words[0]); err == nil {
		p.Prefix, p.port = netip.PrefixFrom(a.Addr(), a.Addr().BitLen()), a.Port()
		return p, nil
	}
	if p.Prefix, err = ParsePrefix(words[0]); err != nil && !strings.Contains(words[0], "/") {
		return p, ErrNotPeer
	}
	return p, err
}

// ParsePrefix reads an address or a prefix.
func ParsePrefix(text string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(text); err == nil {
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(text)
	switch {
	case err != nil:
		return p, fmt.Errorf(`not an address or prefix: write "192.0.2.2" or "192.0.2.0/24"`)
	case p != p.Masked():
		return p, fmt.Errorf("the prefix has bits beyond its length; write %s", p.Masked())
	}
	return p, nil
}
