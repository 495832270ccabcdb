package main

import (
	"fmt"
	"log/slog"
	"os"
	"time"

	"golang.org/x/term"

	"mxtrap/server/load"
)

// progress shows a long load as a live count on a terminal, and as a line every few seconds in a log, where there is one.
func progress(log *slog.Logger) load.Progress {
	switch {
	case term.IsTerminal(int(os.Stderr.Fd())):
		return load.Progress{
			Every: 200 * time.Millisecond,
			Tell:  func(done, total int) { fmt.Fprintf(os.Stderr, "\r%d of %d zones loaded", done, total) },
			End:   func() { fmt.Fprint(os.Stderr, "\r\x1b[K") },
		}
	case log != nil:
		return load.Progress{
			Every: 3 * time.Second,
			Tell:  func(done, total int) { log.Info("loading", "zones", done, "of", total) },
		}
	}
	return load.Progress{}
}
