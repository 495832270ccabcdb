package source

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/miekg/dns"

	"mxtrap/zone/conf"
	"mxtrap/zone/content"
	"mxtrap/zone/dname"
)

// catalogVersion is the schema of catalog zones that we make and read (RFC 9432 4.2.1).
const catalogVersion = "2"

// NewCatalog makes a catalog zone that lists zones (RFC 9432).
func NewCatalog(catalog string, members []string, serial uint32) (*Zone, error) {
	apex, err := dname.Parse(catalog, dname.Root)
	if err != nil {
		return nil, err
	}
	s := &Zone{Path: catalog, apex: apex, ttl: 3600, serial: &serial}
	add := func(owner, text string) error {
		o, err := dname.Parse(owner, apex)
		if err != nil {
			return err
		}
		r, err := content.ParseRecord(text, o, dname.Root, s.ttl, nil)
		s.records = append(s.records, r)
		return err
	}
	err = errors.Join(add("@", "SOA invalid. invalid. 1 3600 600 2147483646 0"), add("@", "NS invalid."), add("version", "TXT "+catalogVersion))
	for _, m := range members {
		id := sha256.Sum256([]byte(m))
		err = errors.Join(err, add(hex.EncodeToString(id[:16])+".zones", "PTR "+dns.Fqdn(m)))
	}
	return s, err
}

// catalogTable is the operator's [catalog].
type catalogTable struct {
	template string       // the zone file that members are made from
	names    []dname.Name // at or below which members lie; none: anywhere but at the root or right below it
	most     int64        // members
}

// Bounds of the members of a catalog: its author decides how many zones are served here, and each takes memory, a file and a
// transfer.
const (
	defaultMembers = 100_000
	maxMembers     = 10_000_000
)

// Template is the zone file that a catalog's members are made from; "" where the zone is no catalog.
func (s *Zone) Template() string {
	if s.catalog == nil {
		return ""
	}
	return s.catalog.template
}

// readCatalog reads the table [catalog].
func (s *Zone) readCatalog(t *conf.Table) {
	s.catalog = &catalogTable{most: defaultMembers}
	var template string
	if t.String("template", &template); template == "" {
		t.Fault("template", "", `name the zone file that members are made from: template = "member.toml"`)
	} else if !filepath.IsAbs(template) {
		template = filepath.Join(filepath.Dir(s.Path), template)
	}
	for _, item := range t.Strings("names") {
		n, err := dname.Parse(item.Text, dname.Root)
		if err != nil {
			item.Fault(err.Error())
			continue
		}
		s.catalog.names = append(s.catalog.names, n)
	}
	t.Int("most", 1, maxMembers, &s.catalog.most)
	t.Close()
	s.catalog.template = template
	if s.primary == nil {
		s.table.Fault("catalog", "", "a catalog comes from a primary: name it in [primary]; to make one, see catalog.produce of the server file")
	}
}

// brings says whether the catalog may bring a zone of that name.
func (c *catalogTable) brings(member dname.Name) bool {
	if c == nil {
		return true // made here
	}
	if len(c.names) == 0 {
		return member.CountLabels() > 1
	}
	return slices.ContainsFunc(c.names, member.Within)
}

// Members are the zones that a catalog lists, without their final dot, and those that it may not bring. The error says why it is broken:
// a consumer must ignore it then (RFC 9432 5.1).
func (s *Zone) Members() (members, refused []string, err error) {
	version, nodes := 0, map[dname.Name]bool{}
	for i := range s.records {
		r := &s.records[i]
		labels := strings.Split(strings.TrimSuffix(r.Owner.Relative(s.apex), "."), ".")
		switch {
		case r.Typ == dns.TypeTXT && len(labels) == 1 && labels[0] == "version":
			if version++; string(r.Data) != "\x01"+catalogVersion {
				return nil, nil, fmt.Errorf("its version is not %s", catalogVersion)
			}
		case r.Typ == dns.TypePTR && len(labels) == 2 && labels[1] == "zones" && nodes[r.Owner]:
			return nil, nil, fmt.Errorf("%s has two PTR records (RFC 9432 4.1)", r.Owner.Bare())
		case r.Typ == dns.TypePTR && len(labels) == 2 && labels[1] == "zones":
			nodes[r.Owner] = true
			if member := dname.Lowered(r.Data); s.catalog.brings(member) {
				members = append(members, member.Bare())
			} else {
				refused = append(refused, member.String())
			}
		}
	}
	if version != 1 {
		return nil, nil, errors.New("it must have exactly one version record (TXT)")
	}
	slices.Sort(members)
	if n := len(members); n != len(slices.Compact(members)) {
		return nil, nil, errors.New("it lists a zone twice")
	}
	if s.catalog != nil && int64(len(members)) > s.catalog.most {
		return nil, nil, fmt.Errorf("it lists %d zones, and catalog.most is %d", len(members), s.catalog.most)
	}
	slices.Sort(refused)
	return members, refused, nil
}

// ParseMember makes a member of a catalog out of its template, a zone file without a name. The files are those of the member before; none: it is
// new.
func ParseMember(template string, text []byte, files Files, member string, report *conf.Report) *Zone {
	s := parse(template, text, files.Only(), member, report)
	if s != nil {
		s.member, s.text = true, text
	}
	return s
}

// Member says whether the zone was made from a template.
func (s *Zone) Member() bool { return s.member }
