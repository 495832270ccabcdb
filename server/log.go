package server

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"syscall"

	"mxtrap/zone/conf"
)

// Logger makes the log that the configuration asks for, and what its level is changed by.
func (c *Config) Logger() (*slog.Logger, *slog.LevelVar) {
	level := new(slog.LevelVar)
	level.Set(c.logLevel)
	options := &slog.HandlerOptions{Level: level}
	if toJournal() { // which has the time already
		options.ReplaceAttr = func(groups []string, a slog.Attr) slog.Attr {
			if len(groups) == 0 && a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		}
	}
	if c.logJSON {
		return slog.New(slog.NewJSONHandler(os.Stderr, options)), level
	}
	return slog.New(slog.NewTextHandler(os.Stderr, options)), level
}

// toJournal says whether the log goes to the journal of systemd (JOURNAL_STREAM of systemd.exec(5)).
func toJournal() bool {
	var is syscall.Stat_t
	if err := syscall.Fstat(int(os.Stderr.Fd()), &is); err != nil {
		return false
	}
	return os.Getenv("JOURNAL_STREAM") == fmt.Sprintf("%d:%d", is.Dev, is.Ino)
}

// LogProblems tells the operator what is wrong with his files, each problem with its place in fields.
func LogProblems(log *slog.Logger, problems []conf.Problem) {
	for _, p := range problems {
		level := slog.LevelError
		if p.Warning {
			level = slog.LevelWarn
		}
		var fields []slog.Attr
		for _, f := range []struct{ key, value string }{{"file", p.File}, {"key", p.Key}, {"value", p.Text}} {
			if f.value != "" {
				fields = append(fields, slog.String(f.key, f.value))
			}
			if f.key == "file" && p.Line > 0 {
				fields = append(fields, slog.Int("line", p.Line))
			}
		}
		log.LogAttrs(context.Background(), level, p.Reason, fields...)
	}
}
