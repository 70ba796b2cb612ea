package roles

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"glancectl/proposals"
	"glancectl/provision"
	"glancectl/provision/cron"
	"glancectl/service/oslo"
)

// A Job is a job of the role on one node.
type Job struct {
	Name     string // as the proposal calls it
	Schedule string // as in the proposal; "" where there is no cron
	User     string // "" for who is logged in
	Jitter   time.Duration
	On       cron.Job
	argv     []string // how it is run where there is no cron
}

// jobNames are the names that jobs have beside those in a proposal and those
// of their programs.
var jobNames = map[string]string{"cleaner": "reaper", "cache-cleaner": "reaper"}

// JobNames are the jobs of the role, as a proposal calls them.
func JobNames() []string {
	m, err := readManifest(glanceServer)
	if err != nil {
		return nil
	}
	names := make([]string, len(m.Jobs))
	for i, j := range m.Jobs {
		names[i] = j.Element
	}
	return names
}

// JobName returns what the proposal calls a job that is known by that name,
// or by that of its program, and whether there is one.
func JobName(name string) (string, bool) {
	m, err := readManifest(glanceServer)
	if err != nil {
		return "", false
	}
	short := strings.TrimPrefix(name, "glance-")
	if job, ok := jobNames[short]; ok {
		return job, true
	}
	for _, j := range m.Jobs {
		if short == j.Element || name == j.Program || "glance-"+short == j.Program {
			return j.Element, true
		}
	}
	return "", false
}

// Jobs returns the jobs that the proposal wants on a node, in the order of
// the role. It contacts nobody.
func Jobs(p *proposals.Proposal, node string) ([]Job, error) {
	sites, err := sitesOf(p, Options{Secrets: Secrets{}.placeholders(p, false)})
	if err != nil {
		return nil, err
	}
	for _, s := range sites {
		if s.node.Name == node {
			return s.jobs()
		}
	}
	return nil, fmt.Errorf("proposal %s: node %q does not have the role glance-server", p.Name, node)
}

func (s site) jobs() ([]Job, error) {
	files, err := s.configFiles()
	if err != nil {
		return nil, err
	}
	var jobs []Job
	for _, m := range s.m.Jobs {
		if !s.scheduled(m) {
			continue
		}
		job, _ := jobOf(s.g, m.Element)
		locks, log, err := s.traces(files, job)
		if err != nil {
			return nil, err
		}
		j := Job{Name: m.Element, Jitter: job.Jitter, argv: s.jobArgv(m), On: cron.Job{
			Record: path.Join(locks, m.Program+".runs"), Lock: path.Join(locks, m.Program+".lock"), Log: log,
		}}
		if s.systemd() {
			j.Schedule, j.User, j.On.Entry = job.Schedule, job.User, s.path(s.cronFile(m))
		}
		jobs = append(jobs, j)
	}
	return jobs, nil
}

// traces are the directory of a job's lock and record, and its log, as its
// configuration says in the end: the proposal may have overridden them there.
func (s site) traces(files []file, job proposals.Job) (locks, log string, err error) {
	name := s.path(job.ConfigFile)
	i := slices.IndexFunc(files, func(f file) bool { return f.Path == name })
	c, err := oslo.Parse(name, files[i].Content)
	if err != nil {
		return "", "", err
	}
	option := func(section, key, byDefault string) string {
		if v, ok := c.Get(section, key); ok && v != "" {
			return v
		}
		return byDefault
	}
	return option("oslo_concurrency", "lock_path", s.lockPath()), option("DEFAULT", "log_file", s.path(job.LogFile)), nil
}

// A JobState is what is known of a job on a node.
type JobState struct {
	Job
	cron.State
	Next    time.Time // when cron starts it again; zero where it does not
	Warning string    // what is wrong, for an operator to know; "" for nothing
}

// JobQueries are the facts that JobStates wants to find.
func JobQueries(jobs []Job) []provision.Query {
	var qs []provision.Query
	for _, j := range jobs {
		qs = append(qs, j.On.Queries()...)
	}
	return qs
}

// JobStates returns what facts tell about jobs.
func JobStates(jobs []Job, f *provision.Facts) []JobState {
	states := make([]JobState, len(jobs))
	for i, j := range jobs {
		s := JobState{Job: j}
		var err error
		if s.State, err = j.On.State(f); err != nil {
			s.Warning = err.Error()
		}
		s.look()
		states[i] = s
	}
	return states
}

// late is how long after its time a job may begin: cron looks once a minute.
const late = time.Minute

// look finds out when the job starts next, and what is wrong with it.
func (s *JobState) look() {
	warn := func(format string, args ...any) {
		if s.Warning == "" {
			s.Warning = fmt.Sprintf(format, args...)
		}
	}
	if last := s.Last(); last != nil && !last.Good() {
		warn("%s", failure(last))
	}
	if s.Entry == nil {
		return
	}
	schedule, err := proposals.ParseSchedule(s.Entry.Schedule)
	if err != nil {
		warn("%s: schedule %q: %v", s.On.Entry, s.Entry.Schedule, err)
		return
	}
	s.Next = schedule.Next(s.Now)
	begun := s.Begun().In(s.Now.Location())
	missed := schedule.Next(schedule.Next(begun)).Add(s.Jitter + late)
	switch {
	case s.Now.Before(missed):
	case s.Current() != nil:
		warn("it has been at work since %s: its schedule would have started it twice since", stamp(begun))
	case s.Last() != nil:
		warn("it has not run since %s: its schedule should have started it twice since", stamp(begun))
	default:
		warn("it has never run: it is there since %s, and its schedule should have started it twice since", stamp(begun))
	}
}

// failure says how a run went wrong.
func failure(r *cron.Run) string {
	how := map[string]string{
		cron.Failed: "failed", cron.TimedOut: "was ended at its timeout", cron.Died: "died before its end",
	}[r.Result]
	text := fmt.Sprintf("the run of %s %s", stamp(r.Start), how)
	if r.Error != "" {
		text += ": " + r.Error
	}
	return text
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

// RunJob runs a job on its node as its entry says, whatever its schedule is,
// and waits for its end.
func RunJob(ctx context.Context, h provision.Host, s JobState) (cron.Outcome, error) {
	entry := cron.Entry{Argv: s.argv}
	if s.On.Entry != "" {
		if s.Entry == nil {
			return cron.Outcome{}, fmt.Errorf("%s is not there: `glancectl apply` puts it there", s.On.Entry)
		}
		entry = *s.Entry
	}
	return s.On.Run(ctx, h, entry)
}

// Watch returns a stage that changes nothing: it tells what the jobs of each
// image node are like, as part of an observation that is made anyway.
func Watch(p *proposals.Proposal, tell func(node string, states []JobState)) (provision.Stage, error) {
	stage := provision.Stage{Name: "jobs"}
	if p.Glance == nil {
		return stage, nil
	}
	for _, node := range p.Glance.Nodes {
		jobs, err := Jobs(p, node)
		if err != nil {
			return stage, err
		}
		stage.Targets = append(stage.Targets, provision.Target{
			Host: node, Name: node, Resources: []provision.Resource{watch{jobs, func(s []JobState) { tell(node, s) }}},
		})
	}
	return stage, nil
}

// watch is a resource that is always as it should be.
type watch struct {
	jobs []Job
	tell func([]JobState)
}

// ID implements provision.Resource.
func (watch) ID() string { return "watch:jobs" }

// Queries implements provision.Resource.
func (w watch) Queries() []provision.Query { return JobQueries(w.jobs) }

// Observe implements provision.Resource.
func (w watch) Observe(_ context.Context, _ provision.Reader, f *provision.Facts) ([]provision.Change, error) {
	w.tell(JobStates(w.jobs, f))
	return nil, nil
}
