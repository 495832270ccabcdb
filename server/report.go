package server

import (
	"maps"
	"slices"

	"mxtrap/server/load"
	"mxtrap/zone/conf"
)

// logProblems tells the operator what is wrong with his files.
func (s *Server) logProblems(problems []conf.Problem) { LogProblems(s.Log, problems) }

// mostFailuresTold is how many zones the log names that could not be loaded: a template may be that of very many.
const mostFailuresTold = 50

// countFailures counts and logs the zones that could not be loaded.
func (s *Server) countFailures(l *load.Loading) {
	var zones []string
	defer func() { s.metrics.LoadFailed(zones) }()
	for i, path := range slices.Sorted(maps.Keys(l.Failed)) {
		f := l.Failed[path]
		zones = append(zones, f.Zone)
		if i >= mostFailuresTold {
			continue
		}
		text := "cannot load a zone that was not served before; answering it with SERVFAIL if its name is known"
		if f.Kept {
			text = "cannot load a zone; serving its last good version"
		}
		s.Log.Error(text, "zone", f.Zone, "file", path)
	}
	if more := len(l.Failed) - mostFailuresTold; more > 0 {
		s.Log.Error("more zones could not be loaded", "zones", more)
	}
}

// logDown tells at the end of a start how many zones cannot be answered.
func (s *Server) logDown() {
	down := map[string]int{}
	for f := range s.files.All() {
		if f.Down != "" {
			down[f.Down]++
		}
	}
	for _, why := range slices.Sorted(maps.Keys(down)) {
		s.Log.Warn("answering zones with SERVFAIL", "zones", down[why], "why", why)
	}
}
