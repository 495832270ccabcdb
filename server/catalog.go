package server

import (
	"slices"

	"mxtrap/zone"
	"mxtrap/zone/conf"
)

// catalogPath stands for the file of the catalog that is made here.
const catalogPath = "catalog.produce"

// members adds the zones that catalogs list (RFC 9432), each made from its catalog's template. A catalog that is broken is not heeded:
// its members stay as they were. Nothing that another server says is a fault of the operator's files, for a start would fail of it.
func (o loader) members(l *loading, before *zoneFiles) {
	for _, path := range l.catalogs {
		f := l.files.get(path)
		names, err := o.listed(f)
		if err != nil {
			l.report.Add(conf.Problem{File: path, Text: f.zone.Name(), Reason: "the catalog is broken, and its members stay as they were: " + err.Error(), Warning: true})
			for old := range before.all() {
				if old.catalog == path {
					l.files.put(old)
				}
			}
			continue
		}
		served := o.membersOf(path, before)
		for _, name := range names {
			s := secondary{name: name, path: memberPath(f.template, name), template: f.template}
			var report conf.Report
			old := served[name]
			report.Quiet = o.quiet || old != nil
			m := o.compile(s.source(&report), old, &report)
			if m == nil {
				m = l.fail(s.path, old, func() *zone.Zone { return zone.UnservedMember(s.template, name) })
			}
			l.report.Join(report.Doubtful())
			if m != nil {
				m.catalog = path
				l.files.put(m)
			}
		}
	}
}

// membersOf are the zones that a catalog has brought, by name: their template may have another path now.
func (o loader) membersOf(catalog string, before *zoneFiles) map[string]*zoneFile {
	served := map[string]*zoneFile{}
	for f := range before.all() {
		if f.catalog == catalog {
			served[f.zone.Name()] = f
		}
	}
	return served
}

// memberPath stands for the file of a catalog's member.
func memberPath(template, name string) string { return template + " (" + name + ")" }

// listed are the zones of a catalog, by its copy, however old that is.
func (o loader) listed(f *zoneFile) ([]string, error) {
	records, _, err := o.copies.read(f.zone.Name())
	switch {
	case f.down != "" && err != nil:
		return nil, nil // nothing has been listed yet
	case err != nil:
		return nil, err
	}
	var report conf.Report
	source := zone.Load(f.secondary.path, &report)
	if source == nil {
		return nil, report.Problems()[0]
	}
	source.TakeCopy(records)
	return source.Members()
}

// source reads the zone file of a zone that comes from a primary, or its template.
func (s secondary) source(report *conf.Report) *zone.Source {
	if s.template == "" {
		return zone.Load(s.path, report)
	}
	text, err := zone.ReadText(s.template)
	if err != nil {
		report.Add(conf.Problem{File: s.template, Reason: conf.Plain(err).Error()})
		return nil
	}
	return zone.ParseMember(s.template, text, s.name, report)
}

// catalog adds the catalog of all zones that are served, where one is to be made.
func (o loader) catalog(c *Config, l *loading, before *zoneFiles) {
	if c.produce == "" {
		return
	}
	var names []string
	newest := uint32(1)
	for f := range l.files.all() {
		if f.template == "" {
			names = append(names, f.zone.Name())
		}
		newest = max(newest, f.files.Modified())
	}
	slices.Sort(names)
	report := conf.Report{Quiet: true}
	source, err := zone.NewCatalog(c.produce, names, newest)
	if err == nil {
		if z := source.Compile(nil, &report); z != nil {
			f := &zoneFile{path: catalogPath, hidden: true}
			o.serve(f, source, z, before.get(catalogPath), &report)
			l.files.put(f)
			return
		}
		err = report.Problems()[0]
	}
	l.report.Add(conf.Problem{File: c.Path, Key: catalogPath, Text: c.produce, Reason: err.Error()})
}
