package main

import (
	"io"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// shells complete the words of SHELL_WORDS as far as they go, with the script
// of `glancectl completion`, and print what fits. A shell that cannot read the
// script complains on standard error.
var shells = map[string]string{
	"bash": `
_init_completion() { words=("${COMP_WORDS[@]}"); cword=$COMP_CWORD; cur=${words[cword]}; prev=${words[cword-1]}; }
compopt() { :; }
eval "$(glancectl completion bash)"
complete -p glancectl >/dev/null || exit
COMP_WORDS=($WORDS); COMP_CWORD=$((${#COMP_WORDS[@]}-1)); COMP_LINE=$WORDS; COMP_POINT=${#COMP_LINE}; COMP_TYPE=9
__start_glancectl
printf '%s\n' "${COMPREPLY[@]}"`,
	"zsh": `
compdef() { :; }
compadd() { :; }
_describe() { print -rl -- $completions }
_arguments() { :; }
eval "$(glancectl completion zsh)"
words=(${=WORDS}); CURRENT=$#words
_glancectl`,
	"fish": `
glancectl completion fish | source
complete -C "$WORDS"`,
}

// The scripts for the shells are read by them, and complete verbs and flags.
func TestCompletion(t *testing.T) {
	t.Parallel()
	for shell, script := range shells {
		program, err := exec.LookPath(shell)
		if err != nil {
			t.Logf("no %s here", shell)
			if os.Getenv("CI") == "true" {
				t.Errorf("CI=true: %s must be here", shell)
			}
			continue
		}
		for _, test := range []struct{ words, want string }{
			{"glancectl pla", "plan"},
			{"glancectl des", "destroy"},
			{"glancectl job ru", "run"},
			{"glancectl apply --dry", "--dry-run"},
			{"glancectl render --no", "--node"},
		} {
			c := exec.Command(program, "-c", script)
			c.Env = append(os.Environ(), "WORDS="+test.words, "HOME="+t.TempDir())
			var complaints strings.Builder
			c.Stderr = &complaints
			out, err := c.Output()
			var got []string
			for line := range strings.Lines(string(out)) { // a word, and what it means
				word, _, _ := strings.Cut(strings.TrimSpace(line), "\t")
				word, _, _ = strings.Cut(word, ":")
				got = append(got, strings.TrimSpace(word))
			}
			if !slices.Equal(got, []string{test.want}) || complaints.Len() > 0 {
				t.Errorf("%s completes %q to %q, %v; want %q\n%s", shell, test.words, got, err, test.want, complaints.String())
			}
		}
	}
}

// What the scripts ask for has every verb and every flag.
func TestEverythingIsCompleted(t *testing.T) {
	t.Parallel()
	longFlag := regexp.MustCompile(`(?m)^ +(?:-\w, )?--[\w-]+`)
	seen := 0
	var walk func(c *cobra.Command, words ...string)
	walk = func(c *cobra.Command, words ...string) {
		_, verbs := ends(append(append([]string{"__complete"}, words...), "")...)
		_, flags := ends(append(append([]string{"__complete"}, words...), "--")...)
		for _, sub := range c.Commands() {
			if sub.Hidden {
				continue
			}
			if !strings.Contains("\n"+verbs, "\n"+sub.Name()+"\t"+sub.Short+"\n") {
				t.Errorf("%q is completed to\n%s\nwant %s too", words, verbs, sub.Name())
			}
			walk(sub, append(slices.Clone(words), sub.Name())...)
		}
		for _, usage := range longFlag.FindAllString(c.NonInheritedFlags().FlagUsages(), -1) {
			flag := usage[strings.Index(usage, "--"):]
			if !strings.Contains("\n"+flags, "\n"+flag+"\t") {
				t.Errorf("%q -- is completed to\n%s\nwant %s too", words, flags, flag)
			}
			seen++
		}
		if c.HasSubCommands() || c.Flags().Lookup("var-file") == nil {
			return
		}
		// Where a proposal belongs files are.
		if !strings.Contains(verbs, "\n:0\n") && !strings.HasPrefix(verbs, ":0\n") {
			t.Errorf("%q is completed to\n%s\nwant files", words, verbs)
		}
	}
	a := &app{streams: streams{out: io.Discard, err: io.Discard, env: os.LookupEnv}}
	root := a.root()
	if n := len(root.Commands()); n < 10 {
		t.Errorf("%d verbs; want all", n)
	}
	walk(root)
	if seen < 20 {
		t.Errorf("%d flags; want all", seen)
	}
}
