package server

import (
	"context"
	"fmt"
	"slices"

	"mxtrap/zone"
	"mxtrap/zone/conf"
)

// catalogPath stands for the file of the catalog that is made here.
const catalogPath = "catalog.produce"

// members adds the zones that catalogs list (RFC 9432), each made from its catalog's template. A catalog that is broken is not heeded:
// its members stay as they were. Nothing that another server says is a fault of the operator's files, for a start would fail of it.
// Those that were served before are made anew only where that is asked for.
func (o loader) members(ctx context.Context, l *loading, before *zoneFiles, anew bool) {
	for _, path := range l.catalogs {
		f := l.files.get(path)
		served := membersOf(path, before)
		names, err := o.listed(f, &l.report)
		if err != nil {
			l.report.Add(conf.Problem{File: path, Text: f.zone.Name(), Reason: "the catalog is broken, and its members stay as they were: " + err.Error(), Warning: true})
			for _, old := range served {
				l.files.put(old)
			}
			continue
		}
		text, unread := zone.ReadText(f.template)
		members, reports := make([]*zoneFile, len(names)), make([]conf.Report, len(names))
		o.each(ctx, len(names), func(i int) {
			old := served[names[i]]
			if old != nil && !anew && old.down != unloaded {
				members[i] = old
				return
			}
			reports[i].Quiet = o.quiet || old != nil
			if unread != nil {
				reports[i].Add(conf.Problem{File: f.template, Reason: conf.Plain(unread).Error()})
			} else {
				members[i] = o.compile(zone.ParseMember(f.template, text, names[i], &reports[i]), memberPath(f, names[i]), old, &reports[i])
			}
		})
		for i, name := range names {
			m := members[i]
			if m == nil {
				m = l.fail(memberPath(f, name), served[name], func() *zone.Zone { return zone.UnservedNamed(f.template, name) })
			}
			l.report.Join(reports[i].Doubtful())
			if m == nil {
				continue
			}
			if m.catalog != path {
				again := *m
				m, again.catalog = &again, path
			}
			l.files.put(m)
		}
	}
}

// membersOf are the zones that a catalog has brought, by name: their template may have another path now.
func membersOf(catalog string, before *zoneFiles) map[string]*zoneFile {
	served := map[string]*zoneFile{}
	for f := range before.all() {
		if f.catalog == catalog {
			served[f.zone.Name()] = f
		}
	}
	return served
}

// memberPath stands for the file of a catalog's member: two catalogs may have one template, and list the same zone.
func memberPath(catalog *zoneFile, name string) string {
	return catalog.template + " (" + name + " of " + catalog.zone.Name() + ")"
}

// listed are the zones of a catalog, by its copy, however old that is.
func (o loader) listed(f *zoneFile, report *conf.Report) ([]string, error) {
	records, _, err := o.copies.read(f.zone.Name())
	switch {
	case f.down != "" && err != nil:
		return nil, nil // nothing has been listed yet
	case err != nil:
		return nil, err
	}
	var faults conf.Report
	source := f.again(&faults)
	if source == nil {
		return nil, faults.Problems()[0]
	}
	source.TakeCopy(records)
	names, refused, err := source.Members()
	if len(refused) > 0 {
		report.Add(conf.Problem{
			File: f.path, Key: "catalog.names", Text: refused[0], Warning: true,
			Reason: fmt.Sprintf("%d zones that the catalog lists are passed over, for it may not bring their names", len(refused)),
		})
	}
	return names, err
}

// again is the source of a zone that comes from a primary, as it was loaded: what stands in its file now is for the next reload.
func (f *zoneFile) again(report *conf.Report) *zone.Source {
	if s := f.secondary; s.template != "" {
		return zone.ParseMember(s.template, s.text, s.name, report)
	}
	return zone.Again(f.path, f.secondary.text, f.files, report)
}

// relist takes in which zones catalogs list now, without a look at any other. Refused are the zones that had to give way before.
func (o loader) relist(ctx context.Context, catalogs []string, before *zoneFiles, refused []*zoneFile) *loading {
	l := o.loading(newZoneFiles(before.len()))
	l.catalogs = slices.Sorted(slices.Values(catalogs))
	for f := range before.all() {
		if !slices.Contains(catalogs, f.catalog) {
			l.files.put(f)
		}
	}
	refused = slices.DeleteFunc(slices.Clone(refused), func(f *zoneFile) bool { return slices.Contains(catalogs, f.catalog) })
	l.again(refused)
	o.members(ctx, l, before, false)
	o.arrange(l, before)
	o.renew(l, before, refused)
	return l
}

// arrange decides which zones are served, and adds the catalog of them, where one is to be made.
func (o loader) arrange(l *loading, before *zoneFiles) {
	if o.sources.produce == "" {
		l.stand(before, o.waited)
		return
	}
	o.catalog(l, before)
	l.stand(before, o.waited)
	if f := l.files.get(catalogPath); f != nil && len(l.waiting) > 0 { // what had to give way is not listed
		o.catalog(l, before)
		l.unite()
	}
}

// catalog makes the catalog of all zones that are loaded.
func (o loader) catalog(l *loading, before *zoneFiles) {
	var names []string
	newest := uint32(1)
	for f := range l.files.all() {
		if f.template == "" && f.path != catalogPath {
			names = append(names, f.zone.Name())
		}
		newest = max(newest, f.files.Modified())
	}
	slices.Sort(names)
	report := conf.Report{Quiet: true}
	source, err := zone.NewCatalog(o.sources.produce, slices.Compact(names), newest)
	if err == nil {
		if z := source.Compile(nil, &report); z != nil {
			f := &zoneFile{path: catalogPath, hidden: true}
			o.serve(f, source, z, before.get(catalogPath), &report)
			l.files.put(f)
			return
		}
		err = report.Problems()[0]
	}
	l.report.Add(conf.Problem{File: o.sources.path, Key: catalogPath, Text: o.sources.produce, Reason: err.Error()})
}
