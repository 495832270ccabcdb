package source

import (
	"fmt"
	"time"

	"mxtrap/zone/conf"
	"mxtrap/zone/content"
	"mxtrap/zone/dname"
	"mxtrap/zone/sign"
)

// Signing is what a zone is signed with.
type Signing struct {
	Keys []*sign.Key
	Why  string // there is none, in words with a remedy
	// Known is a time that is past, and Since what happened then: a clock that is before it is wrong.
	Known time.Time
	Since string
}

// clockSlack is how much a clock may go back: signatures are valid from some hours before they are made.
const clockSlack = time.Hour

// readDNSSEC reads whether the zone is signed, and how.
func (s *Zone) readDNSSEC(t *conf.Table) {
	if !t.Has("dnssec") {
		return
	}
	on := true
	if t.IsTable("dnssec") {
		options := t.Table("dnssec")
		options.Bool("nsec3", &s.nsec3)
		options.Close()
	} else {
		t.Bool("dnssec", &on)
	}
	s.dnssec = &on
}

// Signed says whether the zone is signed, where the server file says what holds for zones that do not say it. A catalog is for other
// servers alone, and is not.
func (s *Zone) Signed(otherwise bool) bool {
	if s.dnssec != nil {
		return *s.dnssec
	}
	return otherwise && s.catalog == nil
}

// SignWith has the zone signed when it is compiled next; nil has it not.
func (s *Zone) SignWith(with *Signing) { s.signing = with }

// sign adds what signing adds to a zone whose content is whole. It returns nil where the zone is not signed, or cannot be.
func (s *Zone) sign(c *content.Content, soa *content.SOA, report *conf.Report) *sign.Chain {
	with := s.signing
	if with == nil {
		return nil
	}
	if len(with.Keys) == 0 {
		report.Add(s.table.Problem("dnssec", "", with.Why))
		return nil
	}
	if s.at.Add(clockSlack).Before(with.Known) {
		report.Add(s.table.Problem("dnssec", "", fmt.Sprintf("the clock says %s, which is before %s, when %s: signatures made now would be of the past; set the clock",
			s.at.UTC().Format(time.DateTime), with.Known.UTC().Format(time.DateTime), with.Since)))
		return nil
	}
	if s.nsec3 && len(s.apex) > dname.MaxName-sign.HashLabel {
		report.Add(s.table.Problem("dnssec", "", fmt.Sprintf("the zone's name has more than %d octets, so that no hash fits before it: use NSEC, with dnssec = true", dname.MaxName-sign.HashLabel)))
		return nil
	}
	if sign.Outlasts(soa.Expire, maxTTL(c)) {
		report.Add(s.table.Problem("dnssec", "", "expire of the SOA record and the largest TTL of the zone together are more than a year: secondaries and resolvers may keep records for longer than their signatures are valid").AsWarning())
	}
	policy := sign.Policy{Keys: with.Keys, NSEC3: s.nsec3, Expire: soa.Expire, MaxTTL: maxTTL(c)}
	plan, err := policy.Plan(s.apex, s.at)
	if err != nil {
		report.Add(s.table.Problem("dnssec", "", fmt.Sprintf("%v; run mxtrap key status %s", err, s.Name())))
		return nil
	}
	soa.Serial += plan.Offset
	c.PutSOA(soa, &s.arena)
	return plan.Apply(c, soa)
}

// serveSigned has a zone served with the signatures that another signer has made. It returns nil where that cannot be, or
// where the trap would change what is signed.
func (s *Zone) serveSigned(c *content.Content, given *sign.Given, report *conf.Report) *sign.Chain {
	if s.trap != nil {
		report.Add(s.table.Problem("trap", "", "the zone is signed already, and a trap would change it: set dnssec = true, so that mxtrap signs it anew, and give mxtrap its keys (mxtrap key import)"))
		return nil
	}
	chain, err := given.Chain(c)
	if err != nil {
		report.Add(s.table.Problem("name", s.Name(), "the zone is signed, and cannot be served so: "+err.Error()))
		return nil
	}
	return chain
}

// maxTTL is the largest TTL of the zone.
func maxTTL(c *content.Content) (ttl uint32) {
	for i := range c.Nodes {
		for j := range c.Nodes[i].Sets {
			ttl = max(ttl, c.Nodes[i].Sets[j].Ttl)
		}
	}
	return ttl
}
