package provision

import (
	"encoding/base64"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"time"
)

// arches maps what uname says to what Go says.
var arches = map[string]string{
	"x86_64":  "amd64",
	"aarch64": "arm64",
	"arm64":   "arm64",
}

// parse reads what the look script printed.
func (q *questions) parse(out string) (*Facts, error) {
	f := &Facts{
		Files:     make(map[string]FileFact),
		Users:     make(map[string]UserFact),
		Groups:    make(map[string]GroupFact),
		Units:     make(map[string]UnitFact),
		Processes: make(map[string]ProcessFact),
		Commands:  make(map[string]CommandFact),
		Locks:     make(map[string]int),
	}
	_, out, _ = strings.Cut(out, "\n"+beginMark+"\n")
	var section string
	var units []string
	whole, ended := false, false
	for line := range strings.Lines(out) {
		line = strings.TrimSuffix(line, "\n")
		var err error
		switch {
		case section == "" && sections[line]:
			section = line
		case section == "":
			word, rest, _ := strings.Cut(line, " ")
			whole = whole || word == "machine"
			ended = word == "end"
			err = q.parseLine(f, word, rest)
		case line == sectionEnd:
			section = ""
		case section == "units":
			units = append(units, line)
		default:
			err = q.parseSection(f, section, line)
		}
		if err != nil {
			return nil, fmt.Errorf("%.80q: %w", strings.TrimSpace(section+" "+line), err)
		}
	}
	if !ended || !whole {
		return nil, errCut
	}
	return f, q.parseUnits(f, units)
}

// sections are what programs printed, each ended by a sectionEnd.
var sections = map[string]bool{"files": true, "sums": true, "users": true, "groups": true, "units": true}

// parseSection reads a line of a section.
func (q *questions) parseSection(f *Facts, section, line string) error {
	switch section {
	case "files":
		return q.parseFile(f, line)
	case "sums":
		sum, path, _ := strings.Cut(line, "  ")
		return f.amend(path, func(fact *FileFact) error {
			fact.SHA256 = sum
			return nil
		})
	case "users":
		return f.parseUser(line)
	}
	return f.parseGroup(line)
}

// parseLine reads a line outside of sections.
func (q *questions) parseLine(f *Facts, word, rest string) (err error) {
	switch word {
	case "machine":
		return f.parseMachine(rest)
	case "os":
		f.OS = strings.Trim(rest, `"'`)
		return nil
	case "receipt":
		return f.parseReceipt(rest)
	case "content":
		content, path, _ := strings.Cut(rest, " ")
		return f.amend(path, func(fact *FileFact) error { return fact.setContent(content) })
	case "empty":
		i, err := strconv.Atoi(rest)
		if err != nil || i >= len(q.files) {
			return fmt.Errorf("no question asks for it")
		}
		return f.amend(q.files[i].Path, func(fact *FileFact) error {
			fact.Empty = true
			return nil
		})
	case "now":
		f.now, err = seconds(rest)
		if q.clock {
			f.Now = f.now.In(f.Now.Location())
		}
		return err
	case "zone":
		return f.parseZone(rest)
	case "lock":
		return q.parseLock(f, rest)
	case "process":
		return q.parseProcess(f, rest)
	case "command":
		return q.parseCommand(f, rest)
	case "end":
		return nil
	}
	return fmt.Errorf("unexpected answer")
}

// amend adds something to what is known of a file.
func (f *Facts) amend(path string, add func(*FileFact) error) error {
	fact, ok := f.Files[path]
	if !ok {
		return fmt.Errorf("no question asks for it")
	}
	err := add(&fact)
	f.Files[path] = fact
	return err
}

// fields splits s into exactly n words.
func fields(s string, n int) ([]string, error) {
	w := strings.SplitN(s, " ", n)
	if len(w) != n {
		return nil, fmt.Errorf("%d words, not %d", len(w), n)
	}
	return w, nil
}

func (f *Facts) parseMachine(s string) error {
	w, err := fields(s, 2)
	if err != nil {
		return err
	}
	f.Arch = w[0]
	if a, ok := arches[w[0]]; ok {
		f.Arch = a
	}
	f.UID, err = strconv.Atoi(w[1])
	return err
}

// seconds parses seconds since 1970 with a fraction.
func seconds(s string) (time.Time, error) {
	sec, frac, _ := strings.Cut(s, ".")
	n, err := strconv.ParseInt(sec, 10, 64)
	if err != nil {
		return time.Time{}, err
	}
	frac = (frac + "000000000")[:9]
	ns, err := strconv.ParseInt(frac, 10, 64)
	return time.Unix(n, ns).UTC(), err
}

// parseZone reads /etc/localtime, before the time. A machine without it keeps
// UTC.
func (f *Facts) parseZone(s string) error {
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil || len(b) == 0 {
		return err
	}
	zone, err := time.LoadLocationFromTZData("Local", b)
	if err == nil {
		f.Now = f.Now.In(zone)
	}
	return err
}

// parseLock reads "inode process", after the files. The device is left out:
// file systems in layers name another than stat does.
func (q *questions) parseLock(f *Facts, s string) error {
	w, err := fields(s, 2)
	if err != nil {
		return err
	}
	inode, err := strconv.ParseUint(w[0], 10, 64)
	if err != nil {
		return err
	}
	pid, err := strconv.Atoi(w[1])
	for _, path := range q.locks {
		if file, ok := f.Files[path]; ok && file.Inode == inode {
			f.Locks[path] = pid
		}
	}
	return err
}

func (f *Facts) parseReceipt(s string) error {
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		return err
	}
	f.Receipt, err = ParseReceipt(b)
	return err
}

// parseFile reads one line about a file. It ends with the path or, for a
// link, with "path -> target"; which one it is only the questions know.
func (q *questions) parseFile(f *Facts, s string) error {
	w, err := fields(s, 8)
	if err != nil {
		return err
	}
	fact, err := parseStat(w)
	if err != nil {
		return err
	}
	for _, query := range q.files {
		target, isLink := strings.CutPrefix(w[7], query.Path+" -> ")
		if w[7] == query.Path || fact.IsLink() && isLink {
			fact.Target = strings.TrimPrefix(target, query.Path)
			f.Files[query.Path] = fact
			return nil
		}
	}
	return fmt.Errorf("no question asks for it")
}

func (fact *FileFact) setContent(s string) error {
	b, err := base64.StdEncoding.DecodeString(s)
	if err == nil && len(b) <= MaxContent {
		fact.Content = b
	}
	return err
}

// parseStat reads "mode owner group size mtime ctime inode".
func parseStat(w []string) (f FileFact, err error) {
	mode, err := strconv.ParseUint(w[0], 16, 32)
	if err != nil {
		return f, err
	}
	f.Type, f.Mode = fileMode(uint32(mode))
	f.Owner, f.Group = w[1], w[2]
	if f.Size, err = strconv.ParseInt(w[3], 10, 64); err != nil {
		return f, err
	}
	if f.Mtime, err = seconds(w[4]); err != nil {
		return f, err
	}
	if f.Ctime, err = seconds(w[5]); err != nil {
		return f, err
	}
	f.Inode, err = strconv.ParseUint(w[6], 10, 64)
	return f, err
}

// fileMode splits a mode as stat(2) gives it into type and permissions.
func fileMode(m uint32) (typ, perm fs.FileMode) {
	switch m & 0o170000 {
	case 0o040000:
		typ = fs.ModeDir
	case 0o120000:
		typ = fs.ModeSymlink
	case 0o100000:
	default:
		typ = fs.ModeIrregular
	}
	perm = fs.FileMode(m & 0o777)
	if m&0o4000 != 0 {
		perm |= fs.ModeSetuid
	}
	if m&0o2000 != 0 {
		perm |= fs.ModeSetgid
	}
	if m&0o1000 != 0 {
		perm |= fs.ModeSticky
	}
	return typ, perm
}

func (f *Facts) parseUser(s string) error {
	w := strings.Split(s, ":")
	if len(w) != 7 {
		return fmt.Errorf("%d fields, not 7", len(w))
	}
	uid, err := strconv.Atoi(w[2])
	if err != nil {
		return err
	}
	gid, err := strconv.Atoi(w[3])
	f.Users[w[0]] = UserFact{Name: w[0], UID: uid, GID: gid, Home: w[5], Shell: w[6]}
	return err
}

func (f *Facts) parseGroup(s string) error {
	w := strings.Split(s, ":")
	if len(w) < 3 {
		return fmt.Errorf("%d fields, not 4", len(w))
	}
	gid, err := strconv.Atoi(w[2])
	f.Groups[w[0]] = GroupFact{Name: w[0], GID: gid}
	return err
}

// parseUnits reads what "systemctl show" printed: a block of lines for each
// unit, in the order asked for. Where systemd does not run it prints nothing.
func (q *questions) parseUnits(f *Facts, lines []string) error {
	if len(lines) == 0 {
		return nil
	}
	blocks := strings.Split(strings.TrimSpace(strings.Join(lines, "\n")), "\n\n")
	if len(blocks) != len(q.units) {
		return fmt.Errorf("systemctl show: %d answers for %d units", len(blocks), len(q.units))
	}
	for i, block := range blocks {
		u, err := parseUnit(block)
		if err != nil {
			return fmt.Errorf("systemctl show %s: %w", q.units[i], err)
		}
		f.Units[q.units[i]] = u
	}
	return nil
}

func parseUnit(block string) (u UnitFact, err error) {
	for line := range strings.SplitSeq(block, "\n") {
		k, v, _ := strings.Cut(line, "=")
		switch k {
		case "LoadState":
			u.LoadState = v
		case "ActiveState":
			u.Active = v
		case "SubState":
			u.Sub = v
		case "UnitFileState":
			u.Enabled = v
		case "NeedDaemonReload":
			u.NeedReload = v == "yes"
		case "MainPID":
			if u.MainPID, err = strconv.Atoi(v); err != nil {
				return u, err
			}
		case "ExecMainStartTimestamp":
			if v == "" || v == "n/a" {
				continue
			}
			if u.Started, err = time.Parse("Mon 2006-01-02 15:04:05 MST", v); err != nil {
				return u, err
			}
		}
	}
	return u, nil
}

// parseProcess reads "index pid start uptime cmdline". The start is in ticks
// of a hundredth of a second since boot, which is what Linux tells programs
// on every architecture.
func (q *questions) parseProcess(f *Facts, s string) error {
	w, err := fields(s, 5)
	if err != nil {
		return err
	}
	var n [3]int64
	for i := range n {
		if n[i], err = strconv.ParseInt(w[i], 10, 64); err != nil {
			return err
		}
	}
	if n[0] >= int64(len(q.processes)) || f.now.IsZero() {
		return fmt.Errorf("no question asks for it")
	}
	up, err := strconv.ParseFloat(w[3], 64)
	if err != nil {
		return err
	}
	argv, err := base64.StdEncoding.DecodeString(w[4])
	if err != nil {
		return err
	}
	age := time.Duration(up*float64(time.Second)) - time.Duration(n[2])*10*time.Millisecond
	p := ProcessFact{
		PID:     int(n[1]),
		Ticks:   w[2],
		Started: f.now.Add(-age),
		Argv:    strings.Split(strings.TrimSuffix(string(argv), "\x00"), "\x00"),
	}
	// A number that was given to another process after the file was written
	// is not the process the file is about.
	file := f.Files[q.processes[n[0]]]
	if p.Started.After(file.Mtime.Add(2 * time.Second)) {
		return nil
	}
	f.Processes[q.processes[n[0]]] = p
	return nil
}

func (q *questions) parseCommand(f *Facts, s string) error {
	w, err := fields(s, 3)
	if err != nil {
		return err
	}
	i, err := strconv.Atoi(w[0])
	if err != nil || i >= len(q.commands) {
		return fmt.Errorf("no question asks for it")
	}
	status, err := strconv.Atoi(w[1])
	if err != nil {
		return err
	}
	out, err := base64.StdEncoding.DecodeString(w[2])
	f.Commands[q.commands[i].Key()] = CommandFact{Status: status, Output: string(out)}
	return err
}
