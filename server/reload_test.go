package server

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"mxtrap/server/state"
)

// TestAReloadThatFindsNoFilesChangesNothing: not even which zones had to give way.
func TestAReloadThatFindsNoFilesChangesNothing(t *testing.T) {
	t.Parallel()
	server := strings.Replace(serverFile, "workers", "state = \"state\"\nzones = [\"zones/*.toml\"]\nworkers", 1)
	r := start(t, map[string]string{"mxtrap.toml": server, "zones/b.toml": simpleZone("x.test", 2)})
	r.write("zones/a.toml", simpleZone("x.test", 1))
	r.reload()
	r.write("mxtrap.toml", strings.Replace(server, "*.toml\"", "*.toml\", \"nothing/*.toml\"", 1))
	r.reload()
	r.want("success", r.metric("mxtrap_config_last_reload_successful"), "0")
	if log := r.log.String(); !strings.Contains(log, "not reloaded, because server.zones has faults") {
		t.Error(log)
	}
	if waiting := state.ReadWaiting(filepath.Join(r.dir, "state")); len(waiting) != 1 {
		t.Errorf("%v had to give way", waiting)
	}
	r.want("the zone", r.ask("www.x.test.", dns.TypeA), "192.0.2.2")
}
