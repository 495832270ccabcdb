package update

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/miekg/dns"

	"mxtrap/server/peer"
	"mxtrap/zone/conf"
	"mxtrap/zone/dname"
	"mxtrap/zone/rdata"
)

// Config is who may change what.
type Config struct {
	rules []rule
}

// rule lets a key change RRsets of some names and types.
type rule struct {
	key   *peer.Key
	names []pattern
	types []uint16
}

// On says whether anybody may change anything.
func (c *Config) On() bool { return len(c.rules) > 0 }

// Keys are the names of the keys that may change something; nil: none may.
func (c *Config) Keys() (names map[string]bool) {
	for _, r := range c.rules {
		if names == nil {
			names = map[string]bool{}
		}
		names[r.key.Name] = true
	}
	return names
}

// ConfigOf reads the table [update]. Keys are those of the server file.
func ConfigOf(t *conf.Table, keys *peer.Access) (c Config) {
	for _, item := range t.Strings("allow") {
		r, err := parseRule(item.Text, keys)
		if err != nil {
			item.Fault(err.Error())
			continue
		}
		c.rules = append(c.rules, r)
	}
	t.Close()
	return c
}

var errNotRule = errors.New(`not a rule: write a key, names and types, such as "key acme _acme-challenge.* TXT"`)

// parseRule reads "key NAME PATTERN... TYPE...".
func parseRule(text string, keys *peer.Access) (r rule, err error) {
	words := strings.Fields(text)
	if len(words) < 4 || words[0] != "key" {
		return r, errNotRule
	}
	p, err := keys.ParsePeer("key " + words[1])
	if err != nil {
		return r, err
	}
	r.key = p.Key
	for i, word := range words[2:] {
		typ, isType := rdata.TypeOf(word)
		if isType && i > 0 && word == strings.ToUpper(word) {
			if why := closed[typ]; why != "" {
				return r, fmt.Errorf("no key may change %s records: %s", word, why)
			}
			if rdata.Of(typ) == nil {
				return r, fmt.Errorf("%q is no type of records in zones that mxtrap knows", word)
			}
			r.types = append(r.types, typ)
			continue
		}
		if len(r.types) > 0 {
			return r, fmt.Errorf("%q stands behind the types: write the names before them", word)
		}
		n, err := parsePattern(word)
		if err != nil {
			return r, fmt.Errorf("%q: %w", word, err)
		}
		r.names = append(r.names, n)
	}
	if len(r.types) == 0 {
		return r, errNotRule
	}
	return r, nil
}

// closed are the types that updates never change, with the reason.
var closed = map[uint16]string{
	dns.TypeSOA: "mxtrap counts the serial number itself", dns.TypeMX: "they are the trap's", dns.TypeNS: "a delegation may hide hosts of the trap",
	dns.TypeDNAME: "it may hide hosts of the trap", dns.TypeDNSKEY: signs, dns.TypeRRSIG: signs, dns.TypeNSEC: signs, dns.TypeNSEC3: signs, dns.TypeNSEC3PARAM: signs,
	dns.TypeCDS: signs, dns.TypeCDNSKEY: signs,
}

const signs = "mxtrap signs by itself"

// Permits says whether a key may change the RRset of an owner and type.
func (c *Config) permits(by *peer.Key, owner dname.Name, typ uint16) bool {
	return slices.ContainsFunc(c.rules, func(r rule) bool {
		return r.key.Same(by) && slices.Contains(r.types, typ) && slices.ContainsFunc(r.names, func(p pattern) bool { return p.matches(owner) })
	})
}

// pattern is the labels of names, each with its length. "*" stands for one label or more.
type pattern []string

const anyLabels = "\x01*"

func parsePattern(text string) (p pattern, err error) {
	n, err := dname.Parse(text, dname.Root)
	if err != nil {
		return nil, err
	}
	return labels(n), nil
}

// labels are those of a name, without the root's.
func labels(n dname.Name) (list []string) {
	for ; !n.IsRoot(); n = n.Parent() {
		list = append(list, string(n[:1+n[0]]))
	}
	return list
}

// matches says whether a name is one of the pattern's.
func (p pattern) matches(n dname.Name) bool {
	name := labels(n)
	i, j, star, from := 0, 0, -1, 0
	for j < len(name) {
		switch {
		case name[j] == anyLabels: // a wildcard's owner: no rule means that
			return false
		case i < len(p) && p[i] == anyLabels:
			star, from = i, j+1 // it takes one at least
			i, j = i+1, j+1
		case i < len(p) && p[i] == name[j]:
			i, j = i+1, j+1
		case star >= 0: // it takes one more
			from++
			i, j = star+1, from
		default:
			return false
		}
	}
	return i == len(p)
}
