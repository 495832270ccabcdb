package tap

import (
	"testing"

	"mxtrap/zone/conf"
)

func TestPathsAreRelativeToTheServerFile(t *testing.T) {
	for text, want := range map[string]Config{
		"socket = \"tap.sock\"": {socket: "/etc/mxtrap/tap.sock", Sample: 1}, "file = \"/var/tap\"\nsample = 5": {file: "/var/tap", Sample: 5}, "": {Sample: 1},
	} {
		beside := func(path string) string {
			if path == "" || path[0] == '/' {
				return path
			}
			return "/etc/mxtrap/" + path
		}
		var report conf.Report
		if got := ConfigOf(conf.Parse("m.toml", []byte(text), &report), beside); got != want || len(report.Problems()) > 0 {
			t.Errorf("%q: %+v %v", text, got, report.Problems())
		}
	}
}
