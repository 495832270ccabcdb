package load

import (
	"context"
	"fmt"
	"slices"

	"mxtrap/zone"
	"mxtrap/zone/conf"
	"mxtrap/zone/source"
)

// catalogPath stands for the file of the catalog that is made here.
const catalogPath = "catalog.produce"

// members adds the zones that catalogs list (RFC 9432), each made from its catalog's template. mxtrap ignores a catalog that is broken:
// its members stay as they were. Nothing that another server says is a fault of the operator's files, for a start would fail of it.
// Those that were served before are made anew only where that is asked for.
func (o Loader) members(ctx context.Context, l *Loading, before *Files, anew bool) {
	for _, path := range l.catalogs {
		f := l.Files.Get(path)
		served := membersOf(path, before)
		names, err := o.listed(f, &l.Report)
		if err != nil {
			l.Report.Add(conf.Problem{File: path, Text: f.Zone.Name(), Reason: "the catalog is broken; mxtrap keeps its members as they were: " + err.Error(), Warning: true})
			for _, old := range served {
				l.Files.put(old)
			}
			continue
		}
		text, unread := source.ReadText(f.Template)
		members, reports := make([]*File, len(names)), make([]conf.Report, len(names))
		o.each(ctx, len(names), func(i int) {
			old := served[names[i]]
			if old != nil && !anew && old.Down != Unloaded {
				members[i] = old
				return
			}
			reports[i].Quiet = o.Quiet || old != nil
			if unread != nil {
				reports[i].Add(conf.Problem{File: f.Template, Reason: conf.Plain(unread).Error()})
			} else {
				members[i] = o.compile(source.ParseMember(f.Template, text, source.Files{}, names[i], &reports[i]), memberPath(f, names[i]), old, &reports[i])
			}
		})
		for i, name := range names {
			m := members[i]
			if m == nil {
				m = o.fail(l, memberPath(f, name), served[name], func() *zone.Zone { return source.UnservedNamed(f.Template, name) })
			}
			l.Report.Join(reports[i].Doubtful())
			if m == nil {
				continue
			}
			if m.catalog != path {
				again := *m
				m, again.catalog = &again, path
			}
			l.Files.put(m)
		}
	}
}

// membersOf are the zones that a catalog has brought, by name: their template may have another path now.
func membersOf(catalog string, before *Files) map[string]*File {
	served := map[string]*File{}
	for f := range before.All() {
		if f.catalog == catalog {
			served[f.Zone.Name()] = f
		}
	}
	return served
}

// memberPath stands for the file of a catalog's member: two catalogs may have one template, and list the same zone.
func memberPath(catalog *File, name string) string {
	return catalog.Template + " (" + name + " of " + catalog.Zone.Name() + ")"
}

// listed are the zones of a catalog, by its copy, however old that is.
func (o Loader) listed(f *File, report *conf.Report) ([]string, error) {
	records, _, err := o.Copies.Read(f.Zone.Name())
	switch {
	case f.Down != "" && err != nil:
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
			File: f.Path, Key: "catalog.names", Text: refused[0], Warning: true,
			Reason: fmt.Sprintf("mxtrap ignores %d zones of the catalog, because it may not list their names", len(refused)),
		})
	}
	return names, err
}

// again is the source of a zone that comes from a primary, as it was loaded: what stands in its file now is for the next reload.
func (f *File) again(report *conf.Report) *source.Zone {
	if s := f.Secondary; s.Template != "" {
		return source.ParseMember(s.Template, s.Text, f.files, s.Name, report)
	}
	return source.Again(f.Path, f.Secondary.Text, f.files, report)
}

// Relist takes in which zones catalogs list now, without a look at any other. Refused are the zones that had to give way before.
func (o Loader) Relist(ctx context.Context, catalogs []string, before *Files, refused []*File) *Loading {
	l := o.loading(newFiles(before.Len()))
	l.catalogs = slices.Sorted(slices.Values(catalogs))
	for f := range before.All() {
		if !slices.Contains(catalogs, f.catalog) {
			l.Files.put(f)
		}
	}
	refused = slices.DeleteFunc(slices.Clone(refused), func(f *File) bool { return slices.Contains(catalogs, f.catalog) })
	l.again(refused)
	o.members(ctx, l, before, false)
	o.arrange(l, before)
	o.renew(l, before, refused)
	return l
}

// arrange decides which zones are served, and adds the DNSBL and the catalog of them all, where these are to be made.
func (o Loader) arrange(l *Loading, before *Files) {
	o.list(l, before)
	if o.Sources.produce == "" {
		l.stand(before, o.Waited)
		return
	}
	o.catalog(l, before)
	l.stand(before, o.Waited)
	if f := l.Files.Get(catalogPath); f != nil && len(l.Waiting) > 0 { // what had to give way is not listed
		o.catalog(l, before)
		l.unite()
	}
}

// catalog makes the catalog of all zones that are loaded.
func (o Loader) catalog(l *Loading, before *Files) {
	var names []string
	newest := uint32(1)
	for f := range l.Files.All() {
		if f.Template == "" && f.Path != catalogPath {
			names = append(names, f.Zone.Name())
		}
		newest = max(newest, f.files.Modified())
	}
	slices.Sort(names)
	report := conf.Report{Quiet: true}
	source, err := source.NewCatalog(o.Sources.produce, slices.Compact(names), newest)
	if err == nil {
		if z := source.Compile(nil, &report); z != nil {
			f := &File{Path: catalogPath, Hidden: true}
			o.serve(f, source, z, before.Get(catalogPath), &report)
			l.Files.put(f)
			return
		}
		err = report.Problems()[0]
	}
	l.Report.Add(conf.Problem{File: o.Sources.path, Key: catalogPath, Text: o.Sources.produce, Reason: err.Error()})
}
