package server

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/miekg/dns"

	"mxtrap/zone/conf"
)

// peer is a word on other servers: an address or prefix, a key, or both, which then must both be right.
type peer struct {
	prefix netip.Prefix // not valid: any address
	port   uint16       // to send to
	key    *key         // nil: no signature is needed
}

// same says whether two peers are one, of whichever load of the configuration.
func (p peer) same(other peer) bool {
	return p.prefix == other.prefix && p.port == other.port && (p.key == other.key || p.key != nil && p.key.same(other.key))
}

// address is where a peer is sent to.
func (p peer) address() string {
	return netip.AddrPortFrom(p.prefix.Addr(), cmp.Or(p.port, 53)).String()
}

// transfers is who may have the zones, and who is told when they have changed.
type transfers struct {
	allow  []peer
	notify []peer
	keys   map[string]*key // by name
}

// permits says whether a client may transfer zones.
func (t *transfers) permits(from netip.Addr, by *key) bool {
	for _, p := range t.allow {
		if (!p.prefix.IsValid() || p.prefix.Contains(from)) && (p.key == nil || p.key.same(by)) {
			return true
		}
	}
	return false
}

// accessOf reads the tables [keys] and [transfer].
func accessOf(keys, transfer *conf.Table) (t transfers) {
	t.readKeys(keys)
	t.readPeers(transfer)
	return t
}

// readKeys reads the table of keys.
func (t *transfers) readKeys(table *conf.Table) {
	t.keys = map[string]*key{}
	for _, name := range table.Keys() {
		text := ""
		table.String(name, &text)
		k, err := parseKey(name, text)
		if err != nil {
			table.Fault(name, "", err.Error())
			continue
		}
		t.keys[k.name] = k
	}
	table.Close()
}

// readPeers reads the table that says who may transfer and who is told of changes.
func (t *transfers) readPeers(table *conf.Table) {
	for _, item := range table.Strings("allow") {
		p, err := t.parsePeer(item.Text)
		switch {
		case err != nil:
			item.Fault(err.Error())
		case p.port != 0:
			item.Fault("a port says nothing of who may ask: leave it out")
		default:
			t.allow = append(t.allow, p)
		}
	}
	for _, item := range table.Strings("notify") {
		p, err := t.parsePeer(item.Text)
		switch {
		case err != nil:
			item.Fault(err.Error())
			continue
		case !p.prefix.IsSingleIP():
			item.Fault("not one address: name the server that is to be told of changes")
			continue
		case p.port == 0:
			p.port = 53
		}
		t.notify = append(t.notify, p)
	}
	table.Close()
}

var errNotPeer = errors.New(`not a server: write "192.0.2.2", "192.0.2.0/24", "192.0.2.2 key NAME" or "key NAME"`)

// parsePeer reads "[ADDRESS[:PORT]|PREFIX] [key NAME]".
func (t *transfers) parsePeer(text string) (p peer, err error) {
	words := strings.Fields(text)
	if n := len(words); n >= 2 && words[n-2] == "key" {
		if p.key = t.keys[dns.CanonicalName(words[n-1])]; p.key == nil {
			return p, fmt.Errorf("no key %q: write it into the table [keys]", words[n-1])
		}
		words = words[:n-2]
	}
	if len(words) == 0 && p.key != nil {
		return p, nil
	}
	if len(words) != 1 {
		return p, errNotPeer
	}
	if a, err := netip.ParseAddrPort(words[0]); err == nil {
		p.prefix, p.port = netip.PrefixFrom(a.Addr(), a.Addr().BitLen()), a.Port()
		return p, nil
	}
	if p.prefix, err = parsePrefix(words[0]); err != nil && !strings.Contains(words[0], "/") {
		return p, errNotPeer
	}
	return p, err
}

// parsePrefix reads an address or a prefix.
func parsePrefix(text string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(text); err == nil {
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(text)
	switch {
	case err != nil:
		return p, fmt.Errorf(`not an address or prefix: write "192.0.2.2" or "192.0.2.0/24"`)
	case p != p.Masked():
		return p, fmt.Errorf("the prefix has bits behind its length: write %s", p.Masked())
	}
	return p, nil
}
