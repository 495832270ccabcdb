package load

import (
	"context"

	"mxtrap/zone"
	"mxtrap/zone/conf"
	"mxtrap/zone/source"
)

// file is the path of the file that a zone is read from: its own, or the template that it is made of.
func (f *File) file() string {
	if f.template != "" {
		return f.template
	}
	return f.Path
}

// listedBefore are the zones that files list, by file and name, as they were taken in before.
func listedBefore(before *Files) map[string]map[string]*File {
	known := map[string]map[string]*File{}
	for f := range before.All() {
		if f.listed == "" {
			continue
		}
		if known[f.listed] == nil {
			known[f.listed] = map[string]*File{}
		}
		known[f.listed][f.Zone.Name()] = f
	}
	return known
}

// servedByName are the zones that can be answered, by name: one may have come from another file before.
func servedByName(before *Files) map[string]*File {
	all := make(map[string]*File, before.Len())
	for f := range before.All() {
		if f.Down != Unloaded {
			all[f.Zone.Name()] = f
		}
	}
	return all
}

// moved is what is served on of a zone whose new file could not be loaded, where another one had it before: that; else what there was.
func (l *Loading) moved(unloaded *File, byName func() map[string]*File) *File {
	if unloaded == nil || unloaded.Down != Unloaded {
		return unloaded
	}
	served := byName()[unloaded.Zone.Name()]
	if served == nil || served.Secondary != nil {
		return unloaded
	}
	again := *served
	again.Path, again.origin, again.files = unloaded.Path, unloaded.origin, served.files.Secret()
	l.Failed[again.Path] = failure{Zone: again.Zone.Name(), Kept: true}
	return &again
}

// listedPath stands for the file of a zone that a file lists.
func listedPath(n *source.Names, name string) string {
	return n.Template + " (" + name + " of " + n.Path + ")"
}

// listedZones adds the zones that a file lists, each made from its template; nil: the file has faults, and what it listed before stays.
func (o Loader) listedZones(ctx context.Context, l *Loading, path string, n *source.Names, known map[string]*File, byName func() map[string]*File) {
	if n == nil {
		for _, f := range known {
			l.Files.put(o.withKeys(f))
			l.Failed[f.Path] = failure{Zone: f.Zone.Name(), Kept: true}
		}
		return
	}
	text, noted, unread := source.ReadTemplate(n.Template)
	files, reports := make([]*File, len(n.List)), make([]conf.Report, len(n.List))
	o.each(ctx, len(n.List), func(i int) {
		old := known[n.List[i]]
		if old == nil {
			old = byName()[n.List[i]]
		}
		if renewed := old.renewed(); renewed != nil && renewed.listed == path && renewed.template == n.Template && o.standsAlike(renewed) {
			files[i] = renewed
			return
		}
		reports[i].Quiet = o.Quiet || old != nil
		if unread != nil {
			reports[i].Add(conf.Problem{File: n.Template, Reason: conf.Plain(unread).Error()})
			return
		}
		files[i] = o.compile(source.ParseListed(n.Template, text, noted, n.List[i], &reports[i]), listedPath(n, n.List[i]), old, &reports[i])
	})
	for i, name := range n.List {
		l.Report.Join(&reports[i])
		f := files[i]
		if f == nil {
			f = o.fail(l, listedPath(n, name), known[name], func() *zone.Zone { return source.UnservedNamed(n.Template, name) })
			f = l.moved(f, byName)
		}
		if f == nil {
			continue
		}
		if f.listed != path || f.template != n.Template {
			again := *f
			f, again.listed, again.template = &again, path, n.Template
		}
		l.Files.put(f)
	}
}
