package state

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"mxtrap/zone/source"
)

// waitingFile is the file of the zones that had to give way to others, by their paths, so that after a start the same ones are served.
func waitingFile(folder string) string { return filepath.Join(folder, "waiting") }

// ReadWaiting reads them. What cannot be read is no reason not to serve: then the other rules hold.
func ReadWaiting(folder string) map[string]bool {
	waiting := map[string]bool{}
	if folder == "" {
		return waiting
	}
	text, _ := source.ReadText(waitingFile(folder))
	for line := range bytes.Lines(text) {
		if path, err := strconv.Unquote(strings.TrimSpace(string(line))); err == nil {
			waiting[path] = true
		}
	}
	return waiting
}

// WriteWaiting writes them.
func WriteWaiting(folder string, waiting map[string]bool) error {
	if folder == "" {
		return nil
	}
	if len(waiting) == 0 {
		if err := os.Remove(waitingFile(folder)); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	return replace(waitingFile(folder), func(w *bufio.Writer) {
		for _, path := range slices.Sorted(maps.Keys(waiting)) {
			fmt.Fprintf(w, "%q\n", path)
		}
	})
}
