// Package spf finds which owners of mail a domain's SPF record reaches by their MX records (RFC 7208).
//
// It evaluates no sender: it walks the terms of the record, and of those that it includes or redirects to, as far as they are to be
// seen. What matters here are the limits of RFC 7208 4.6.4, by which too many exchanges, or exchanges without addresses, turn every
// result into permerror.
package spf

import (
	"slices"
	"strings"
)

// Limits of RFC 7208 4.6.4.
const (
	MostExchanges = 10 // that "mx" may find at one owner
	MostVoid      = 2  // look-ups that find nothing
	mostRecords   = 10 // that are followed: beyond them the result is permerror anyway
)

// Use is a way from a domain to an owner by "mx".
type Use struct {
	Domain string // whose record says so
	Term   string // as it is written
	Owner  string // whose MX records are looked up
}

// Reach is what the SPF record of a domain leads to.
type Reach struct {
	Uses       []Use
	IPv4, IPv6 bool // addresses of that family are named ("ip4", "ip6"): mail comes from such
}

// Follow follows the SPF record of a domain. Names are in lower case, without their final dot. Texts are the TXT records of a name,
// each with its strings put together.
func Follow(domain string, texts func(name string) []string) Reach {
	w := walk{texts: texts}
	w.domain(domain)
	return w.reach
}

type walk struct {
	texts func(name string) []string
	seen  [mostRecords]string
	count int // of those seen
	reach Reach
}

func (w *walk) domain(domain string) {
	if slices.Contains(w.seen[:w.count], domain) || w.count == mostRecords {
		return
	}
	w.seen[w.count] = domain
	w.count++
	for _, text := range w.texts(domain) {
		if terms, ok := record(text); ok {
			w.terms(domain, terms)
		}
	}
}

// record is the terms of a text that is an SPF record (RFC 7208 4.5).
func record(text string) (terms string, ok bool) {
	const version = "v=spf1"
	if text = strings.TrimSpace(text); len(text) < len(version) || !strings.EqualFold(text[:len(version)], version) {
		return "", false
	}
	terms = text[len(version):]
	return terms, terms == "" || strings.TrimSpace(terms) != terms
}

// terms follows the terms of a record. What stands behind "all" is never looked at, nor a redirect beside it (RFC 7208 5.1, 6.1).
func (w *walk) terms(domain, terms string) {
	redirect := ""
	for term := range strings.FieldsSeq(terms) {
		text := strings.ToLower(unqualified(term))
		if text == "all" {
			return
		}
		if target, ok := strings.CutPrefix(text, "redirect="); ok {
			if redirect = target; hasAll(terms) {
				redirect = ""
			}
			continue
		}
		name, target, _ := strings.Cut(text, ":")
		name, _, _ = strings.Cut(name, "/")
		switch name {
		case "ip4":
			w.reach.IPv4 = true
		case "ip6":
			w.reach.IPv6 = true
		case "include":
			w.follow(domain, target)
		case "mx":
			if owner, ok := expand(domain, target); ok {
				w.reach.Uses = append(w.reach.Uses, Use{domain, term, owner})
			}
		}
	}
	w.follow(domain, redirect)
}

// hasAll says whether "all" is one of some terms.
func hasAll(terms string) bool {
	for term := range strings.FieldsSeq(terms) {
		if strings.EqualFold(unqualified(term), "all") {
			return true
		}
	}
	return false
}

// unqualified is a term without its qualifier.
func unqualified(term string) string {
	for term != "" && strings.IndexByte("+-?~", term[0]) >= 0 {
		term = term[1:]
	}
	return term
}

func (w *walk) follow(domain, target string) {
	if next, ok := expand(domain, target); ok && target != "" {
		w.domain(next)
	}
}

// expand is the name that a domain-spec stands for. Macros other than that for the domain itself depend on the sender (RFC 7208 7).
func expand(domain, target string) (name string, ok bool) {
	target, _, _ = strings.Cut(target, "/")
	if target == "" {
		return domain, true
	}
	target = strings.ReplaceAll(target, "%{d}", domain)
	return strings.TrimSuffix(target, "."), !strings.Contains(target, "%")
}
