package source

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/miekg/dns"

	"mxtrap/zone/conf"
	"mxtrap/zone/content"
	"mxtrap/zone/dname"
	"mxtrap/zone/rdata"
	"mxtrap/zone/rr"
	"mxtrap/zone/sign"
)

// Draft is a zone that is to become a zone file.
type Draft struct {
	Apex    dname.Name
	Records []rr.Record                   // what signing adds is left out
	Note    func(owner dname.Name) string // a comment above an owner's records; "" or nil: none
	After   string                        // what stands behind the records, such as [trap]
}

// TOML is the zone file. It has the same records as the draft, which is proved by reading it: an error says that no zone file has them, and why.
func (d *Draft) TOML() (text string, err error) {
	records := slices.DeleteFunc(slices.Clone(d.Records), func(r rr.Record) bool { return sign.Made(r.Type) })
	slices.SortStableFunc(records, func(a, b rr.Record) int {
		return cmp.Or(dname.Name(a.Owner).Compare(dname.Name(b.Owner)), cmp.Compare(order(a.Type), order(b.Type)))
	})
	var w strings.Builder
	ttl := d.usualTTL(records)
	fmt.Fprintf(&w, "name = %s\nttl  = %d\n", tomlString(d.Apex.Bare()), ttl)
	if i := slices.IndexFunc(records, func(r rr.Record) bool { return r.Type == dns.TypeSOA }); i >= 0 && records[i].TTL == ttl {
		writeSOA(&w, &records[i])
		records = slices.Delete(records, i, i+1)
	}
	w.WriteString("\n[records]\n")
	for i := 0; i < len(records); {
		owner := dname.Name(records[i].Owner)
		var texts []string
		for ; i < len(records) && records[i].Owner == string(owner); i++ {
			text := rdata.TypeText(records[i].Type) + " " + d.data(&records[i])
			if records[i].TTL != ttl {
				text = fmt.Sprintf("%d %s", records[i].TTL, text)
			}
			texts = append(texts, tomlString(text))
		}
		if d.Note != nil {
			if note := d.Note(owner); note != "" {
				fmt.Fprintf(&w, "# %s\n", note)
			}
		}
		fmt.Fprintf(&w, "%s = %s\n", tomlKey(owner.Relative(d.Apex)), tomlList(texts))
	}
	if d.After != "" {
		fmt.Fprintf(&w, "\n%s", d.After)
	}
	return w.String(), d.proves(w.String())
}

// order puts what an apex begins with first.
func order(typ uint16) int {
	if i := slices.Index([]uint16{dns.TypeSOA, dns.TypeNS, dns.TypeA, dns.TypeAAAA, dns.TypeMX}, typ); i >= 0 {
		return i
	}
	return int(typ) + 100
}

// usualTTL is the one that most records have.
func (d *Draft) usualTTL(records []rr.Record) (ttl uint32) {
	count := map[uint32]int{}
	ttl = 3600
	for _, r := range records {
		if count[r.TTL]++; count[r.TTL] > count[ttl] {
			ttl = r.TTL
		}
	}
	return ttl
}

func writeSOA(w *strings.Builder, r *rr.Record) {
	var soa content.SOA
	soa.Read(&content.RRset{Ttl: r.TTL, Records: []content.Record{{Owner: dname.Name(r.Owner), Typ: r.Type, Ttl: r.TTL, Data: r.Data}}})
	fmt.Fprintf(w, "\n[soa]\nmname   = %s\nrname   = %s\nserial  = %d\nrefresh = %d\nretry   = %d\nexpire  = %d\nminimum = %d\n",
		tomlString(dname.Name(soa.Mname).String()), tomlString(dname.Name(soa.Rname).String()), soa.Serial, soa.Refresh, soa.Retry, soa.Expire, soa.Negative)
}

// data is a record's, with a host of the zone as it is written there.
func (d *Draft) data(r *rr.Record) string {
	text := string(rdata.Append(nil, r.Type, r.Data))
	switch r.Type {
	case dns.TypeMX, dns.TypeNS, dns.TypeCNAME, dns.TypePTR, dns.TypeSRV, dns.TypeDNAME:
		at := strings.LastIndexByte(text, ' ') + 1
		switch host, apex := text[at:], d.Apex.String(); {
		case host == apex:
			return text[:at] + "@"
		case strings.HasSuffix(host, "."+apex):
			return text[:at] + strings.TrimSuffix(host, "."+apex)
		}
	}
	return text
}

// tomlString writes a string of TOML: literal where it has quotes of the other kind, or backslashes.
func tomlString(s string) string {
	if strings.ContainsAny(s, `"\`) && !strings.ContainsAny(s, "'") {
		return "'" + s + "'"
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

// tomlKey writes a key, bare where it can be.
func tomlKey(s string) string {
	for i := range len(s) {
		if c := s[i]; !('a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-' || c == '_') {
			return tomlString(s)
		}
	}
	return s
}

// tomlList writes a list, in several lines where it is long.
func tomlList(texts []string) string {
	if line := "[" + strings.Join(texts, ", ") + "]"; len(line) <= 110 {
		return line
	}
	return "[\n\t" + strings.Join(texts, ",\n\t") + ",\n]"
}

// proves reads the file, and compares what it serves, the trap left out, with the draft.
func (d *Draft) proves(text string) error {
	report := conf.Report{Quiet: true}
	s := Parse(d.Apex.Bare()+".toml", []byte(text), &report)
	if s == nil {
		return report.Problems()[0]
	}
	s.trap = nil
	z := s.Compile(nil, &report)
	if z == nil {
		return report.Problems()[0]
	}
	wanted := map[string]uint32{} // by identity, the lowest TTL of the RRset
	lowest := map[key]uint32{}
	for _, r := range d.Records {
		k := key{dname.Name(r.Owner), r.Type}
		if t, ok := lowest[k]; !ok || r.TTL < t {
			lowest[k] = r.TTL
		}
	}
	soa := false
	for _, r := range d.Records {
		if sign.Made(r.Type) {
			continue
		}
		wanted[r.Identity()] = lowest[key{dname.Name(r.Owner), r.Type}]
		soa = soa || r.Type == dns.TypeSOA
	}
	for r := range z.Records() {
		if r.Type == dns.TypeSOA && !soa {
			continue
		}
		if t, ok := wanted[r.Identity()]; !ok || t != r.TTL {
			return fmt.Errorf("the zone file would serve another record: %s", r)
		}
		delete(wanted, r.Identity())
	}
	for _, r := range d.Records {
		if _, left := wanted[r.Identity()]; left {
			return fmt.Errorf("the zone file would not serve the record: %s", r)
		}
	}
	return nil
}
