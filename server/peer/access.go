package peer

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/miekg/dns"

	"mxtrap/server/secret"
	"mxtrap/zone/conf"
)

// Peer is a word on other servers: an address or prefix, a key, or both, which then must both be right.
type Peer struct {
	Prefix netip.Prefix // not valid: any address
	port   uint16       // to send to
	Key    *Key         // nil: no signature is needed
	source netip.Addr   // to send from; not valid: the kernel chooses
}

// Same says whether two peers are one, of whichever load of the configuration.
func (p Peer) Same(other Peer) bool {
	return p.Prefix == other.Prefix && p.port == other.port && p.source == other.source && (p.Key == other.Key || p.Key != nil && p.Key.Same(other.Key))
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
	source [2]netip.Addr   // that peers of IPv4 and IPv6 are sent to from; not valid: the kernel chooses
}

// Own is the word of one zone: what it says of itself takes the place of what the server file says of all.
type Own struct {
	Allow, Notify []Peer
	allow, notify bool // whether it says something
}

// Of is the access to a zone that has a word of its own.
func (t *Access) Of(own *Own) *Access {
	its := *t
	if own.allow {
		its.Allow = own.Allow
	}
	if own.notify {
		its.Notify = own.Notify
	}
	return &its
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

// AccessOf reads the tables [keys] and [transfer]. Paths are relative as beside has them.
func AccessOf(keys, transfer *conf.Table, beside func(path string) string) (t Access) {
	t.readKeys(keys, beside)
	t.readSource(transfer)
	t.Allow, t.Notify = t.clients(transfer.Strings("allow")), t.servers(transfer.Strings("notify"))
	transfer.Close()
	return t
}

// readKeys reads the table of keys.
func (t *Access) readKeys(table *conf.Table, beside func(path string) string) {
	t.Keys = map[string]*Key{}
	for _, name := range table.Keys() {
		text := ""
		if path := secret.File(table, name, beside); path != "" {
			lines := secret.Lines(table, name, path)
			if len(lines) == 0 {
				continue
			}
			text = lines[0]
		} else if !table.IsTable(name) {
			table.String(name, &text)
		} else {
			continue
		}
		k, err := ParseKey(name, text)
		if err != nil {
			table.Fault(name, "", err.Error())
			continue
		}
		t.Keys[k.Name] = k
	}
	table.Close()
}

// readSource reads the addresses that other servers are sent to from.
func (t *Access) readSource(table *conf.Table) {
	for _, item := range table.Strings("source") {
		a, err := netip.ParseAddr(item.Text)
		switch {
		case err != nil || a.IsUnspecified() || a.Is4In6():
			item.Fault(`not an address of this host: write "192.0.2.53" or "2001:db8::53"`)
		case t.source[family(a)].IsValid():
			item.Fault("there is one of this family already; name one IPv4 and one IPv6 address at most")
		default:
			t.source[family(a)] = a
		}
	}
}

// family is 0 of IPv4, and 1 of IPv6.
func family(a netip.Addr) int {
	if a.Is4() {
		return 0
	}
	return 1
}

// OwnOf reads the table [transfer] of a zone file.
func (t *Access) OwnOf(table *conf.Table) *Own {
	own := &Own{allow: table.Has("allow"), notify: table.Has("notify")}
	own.Allow, own.Notify = t.clients(table.Strings("allow")), t.servers(table.Strings("notify"))
	table.Close()
	return own
}

// clients reads who may transfer zones.
func (t *Access) clients(items []conf.Item) (list []Peer) {
	for _, item := range items {
		p, err := t.ParsePeer(item.Text)
		switch {
		case err != nil:
			item.Fault(err.Error())
		case p.port != 0:
			item.Fault("an allowed client has no port; leave it out")
		default:
			list = append(list, p)
		}
	}
	return list
}

// servers reads who is notified.
func (t *Access) servers(items []conf.Item) (list []Peer) {
	for _, item := range items {
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
		list = append(list, p)
	}
	return list
}

// ErrNotPeer says that a text names no server.
var ErrNotPeer = errors.New(`not a server: write "192.0.2.2", "192.0.2.0/24", "192.0.2.2 key NAME" or "key NAME"`)

// ParsePeer reads "[ADDRESS[:PORT]|PREFIX] [key NAME]".
func (t *Access) ParsePeer(text string) (p Peer, err error) {
	defer func() {
		if p.Prefix.IsSingleIP() {
			p.source = t.source[family(p.Prefix.Addr())]
		}
	}()
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
