// Command mxtrap is an authoritative DNS server for mail domains: it serves MX records with decoys.
package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"mxtrap/server"
	"mxtrap/zone/conf"
)

// Exit codes.
const (
	exitFailure = 1 // bad configuration, or something went wrong
	exitUsage   = 2
)

// errReported is the error of a command that has told the operator already.
var errReported = errors.New("reported")

// usageError is a command line that cannot be.
type usageError struct{ error }

func main() {
	os.Exit(run(os.Args[1:]))
}

func run(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	root := rootCommand()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	var usage usageError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &usage):
		fmt.Fprintf(os.Stderr, "mxtrap: %v\nTry 'mxtrap --help'.\n", err)
		return exitUsage
	case !errors.Is(err, errReported):
		fmt.Fprintln(os.Stderr, "mxtrap:", err)
	}
	return exitFailure
}

// more are commands of special builds.
var more []func() *cobra.Command

func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:           "mxtrap",
		Short:         "An authoritative DNS server whose MX records trap spam senders",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          func(c *cobra.Command, args []string) error { return unknownCommand(c, args) },
		RunE:          func(c *cobra.Command, _ []string) error { return usageError{errors.New("no command given")} },
	}
	version, commit := buildVersion()
	root.Version = fmt.Sprintf("%s, commit %s, %s", version, commit, runtime.Version())
	root.SetVersionTemplate("mxtrap {{.Version}}\n")
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.AddCommand(serveCommand(), checkCommand(), showCommand(), keyCommand(), simulateCommand(), auditCommand(), exportCommand(), listCommand(), reportCommand(), shareCommand(), statusCommand(), reloadCommand(), zoneCommand(), updateCommand(), topCommand(), logLevelCommand(), demoCommand(), importCommand(), initCommand(), healthCommand(), versionCommand())
	for _, command := range more {
		root.AddCommand(command())
	}
	completeZones(root)
	return root
}

// completeZones has shells complete the names of zones, where a command takes one first.
func completeZones(c *cobra.Command) {
	for _, sub := range c.Commands() {
		completeZones(sub)
	}
	if _, args, _ := strings.Cut(c.Use, " "); !strings.HasPrefix(strings.TrimPrefix(args, "["), "ZONE") || c.Flags().Lookup("config") == nil {
		return
	}
	c.ValidArgsFunction = func(c *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		named, _ := c.Flags().GetString("config")
		return server.ZoneNames(configPath(named), typed), cobra.ShellCompDirectiveNoFileComp
	}
}

// unknownCommand refuses a word that is no command, and asks after one that is spelled alike.
func unknownCommand(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	c.SuggestionsMinimumDistance = 2 // letters
	text := fmt.Sprintf("no command %q", args[0])
	if meant := c.SuggestionsFor(args[0]); len(meant) > 0 {
		text += ": did you mean " + strings.Join(meant, " or ") + "?"
	}
	return usageError{errors.New(text)}
}

// usage says how a command is written where its arguments are wrong.
func usage(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if check(c, args) == nil {
			return nil
		}
		what := "an argument is missing"
		if len(args) > 0 {
			what = fmt.Sprintf("%q is one argument too many", args[len(args)-1])
		}
		return usageError{fmt.Errorf("%s: write %s", what, strings.TrimSuffix(c.UseLine(), " [flags]"))}
	}
}

// configFlag adds --config to a command.
func configFlag(c *cobra.Command) *string {
	path := c.Flags().StringP("config", "c", "", "server file (default: ./mxtrap.toml, or else /etc/mxtrap/mxtrap.toml)")
	c.MarkFlagFilename("config", "toml")
	return path
}

// usualPaths are where the server file is looked for that nobody names.
var usualPaths = []string{"mxtrap.toml", "/etc/mxtrap/mxtrap.toml"}

// configPath is the server file that is meant: the one that is named, or the first usual one that is there. It is "" for the built-in
// example, and a message says which one it is.
func configPath(named string) string {
	if named != "" {
		return named
	}
	for _, path := range usualPaths {
		if _, err := os.Stat(path); err == nil || !errors.Is(err, fs.ErrNotExist) {
			fmt.Fprintf(os.Stderr, "server file: %s\n", path)
			return path
		}
	}
	return ""
}

// errNoConfig is for commands that do nothing with an example.
var errNoConfig = usageError{fmt.Errorf("no server file: name one with --config FILE; there is neither ./%s nor %s", usualPaths[0], usualPaths[1])}

// readConfig reads the server file, or takes the example where there is none.
func readConfig(path string) (*server.Config, error) {
	if path == "" {
		return server.Example(), nil
	}
	var report conf.Report
	c := server.ReadConfig(path, &report)
	tell(report.Problems())
	if c == nil {
		return nil, errReported
	}
	return c, nil
}

// tell writes problems to the operator, a line each.
func tell(problems []conf.Problem) {
	for _, p := range problems {
		fmt.Fprintln(os.Stderr, p)
	}
}
