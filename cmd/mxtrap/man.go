//go:build man

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/cpuguy83/go-md2man/v2/md2man"
	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

// The tag makes a program that writes the man pages, for packages; the library for that is in no other.
func init() {
	more = append(more, func() *cobra.Command {
		return &cobra.Command{Use: "man FOLDER REFERENCE", Hidden: true, Args: usage(cobra.ExactArgs(2)), RunE: func(c *cobra.Command, args []string) error {
			one, five := filepath.Join(args[0], "man1"), filepath.Join(args[0], "man5")
			for _, folder := range []string{one, five} {
				if err := os.MkdirAll(folder, 0o755); err != nil {
					return err
				}
			}
			date := time.Unix(0, 0)
			fmt.Sscan(os.Getenv("SOURCE_DATE_EPOCH"), &date)
			root := rootCommand()
			root.DisableAutoGenTag = true
			if err := doc.GenManTree(root, &doc.GenManHeader{Section: "1", Source: "mxtrap", Manual: "mxtrap", Date: &date}, one); err != nil {
				return err
			}
			reference, err := os.ReadFile(args[1])
			if err != nil {
				return err
			}
			return os.WriteFile(filepath.Join(five, "mxtrap.toml.5"), md2man.Render([]byte(manual(string(reference)))), 0o644)
		}}
	})
}

// links are those of Markdown, which a man page cannot follow.
var links = regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`)

// rows are those of tables, which are wider than a terminal.
var rows = regexp.MustCompile(`(?m)^\| ([^|]*) \| (.*) \|$`)

// manual is the part of the reference that is about files, as a man page.
func manual(reference string) string {
	_, files, _ := strings.Cut(reference, "\n## Server file\n")
	files, _, _ = strings.Cut(files, "\n## Metrics\n")
	files = regexp.MustCompile(`(?m)^\|.*\|\n\| --- .*\n`).ReplaceAllString(files, "")
	files = rows.ReplaceAllString(files, "* $1: $2")
	return "mxtrap.toml 5 \"\" mxtrap \"File formats\"\n==================================================\n\n# NAME\nmxtrap.toml - the server file and the zone files of mxtrap(1)\n\n# SERVER FILE\n" +
		links.ReplaceAllString(strings.ReplaceAll(files, "\n## ", "\n# "), "$1")
}
