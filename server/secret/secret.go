// Package secret reads what nobody else may know: from the server file itself, from a file of its own, or from a credential of systemd.
//
// It says whether others can read it, and keeps nothing.
package secret

import (
	"cmp"
	"os"
	"path/filepath"
	"strings"

	"mxtrap/zone/conf"
	"mxtrap/zone/source"
)

// credentials is where the documented unit of systemd has its credentials. A command typed in a shell has no $CREDENTIALS_DIRECTORY.
const credentials = "/run/credentials/mxtrap.service"

// File is the path of the file that a key names by { file = "PATH" } or { credential = "NAME" } (LoadCredential= of systemd.exec(5)). It is ""
// where the key holds no table, and where the table is wrong, which has been reported then. Paths are relative as beside has them.
func File(t *conf.Table, key string, beside func(path string) string) (path string) {
	if !t.IsTable(key) {
		return ""
	}
	in := t.Table(key)
	var file, credential string
	in.String("file", &file)
	in.String("credential", &credential)
	in.Close()
	switch {
	case (file == "") == (credential == ""):
		t.Fault(key, "", `name one place: { file = "PATH" } or { credential = "NAME" }`)
	case credential != filepath.Base(filepath.Join("/", credential)) && credential != "":
		in.Fault("credential", credential, "not the name of a credential, as LoadCredential= has it")
	case credential != "":
		path = filepath.Join(cmp.Or(os.Getenv("CREDENTIALS_DIRECTORY"), credentials), credential)
	default:
		path = beside(file)
	}
	return path
}

// Lines are the lines of a file that [File] has found, without those that are empty or begin with "#". What keeps them from being read is
// reported, and that others can read them, too.
func Lines(t *conf.Table, key, path string) (lines []string) {
	note, text, err := source.ReadNoted(path)
	if err != nil {
		t.Fault(key, "", path+" cannot be read: "+conf.Plain(err).Error())
		return nil
	}
	defer source.ReleaseText(text)
	if note.Open() {
		t.Item(key, "").Warn("everybody on this host can read the secret in " + path + ": chmod 600 it")
	}
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			lines = append(lines, line)
		}
	}
	if len(lines) == 0 {
		t.Fault(key, "", path+" holds nothing")
	}
	return lines
}
