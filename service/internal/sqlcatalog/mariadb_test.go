package sqlcatalog

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"
)

// testURL is the variable that names a MySQL or MariaDB database for tests to
// empty and fill. Without it they start a server of their own.
const testURL = "GLANCECTL_TEST_MYSQL"

// A private server serves all tests of one run.
var private struct {
	once sync.Once
	url  string
	err  error
	stop func()
}

func TestMain(m *testing.M) {
	if url := os.Getenv(childURL); url != "" {
		os.Exit(child(url))
	}
	code := m.Run()
	if private.stop != nil {
		private.stop()
	}
	os.Exit(code)
}

// mariaDB returns the URL of a database that the test may empty. When there is
// neither a server given nor one installed it returns "": a log line on a
// person's machine, a failure where everything must have been tested.
func mariaDB(t testing.TB) string {
	t.Helper()
	if url := os.Getenv(testURL); url != "" {
		return url
	}
	if _, err := exec.LookPath("mariadbd"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("mariadbd is not installed: apt-get install mariadb-server-core")
		}
		t.Logf("not tested on MariaDB: mariadbd is not installed and %s is not set", testURL)
		return ""
	}
	private.once.Do(func() { private.url, private.stop, private.err = startMariaDB() })
	if private.err != nil {
		t.Fatalf("start mariadbd: %v", private.err)
	}
	return private.url
}

// startMariaDB starts a server that listens on a socket only, in a directory
// that stop removes.
func startMariaDB() (url string, stop func(), err error) {
	dir, err := os.MkdirTemp("", "mariadb-")
	if err != nil {
		return "", nil, err
	}
	remove := func() { os.RemoveAll(dir) }
	data, socket := filepath.Join(dir, "data"), filepath.Join(dir, "socket")
	if err := os.Mkdir(data, 0o700); err != nil {
		remove()
		return "", nil, err
	}
	// Without grant tables an empty directory is enough to start from.
	options := []string{"--no-defaults", "--datadir=" + data, "--socket=" + socket, "--pid-file=" + filepath.Join(dir, "pid"),
		"--skip-grant-tables", "--skip-networking", "--innodb-flush-log-at-trx-commit=0", "--innodb-buffer-pool-size=128M", "--max-connections=400"}
	if os.Getuid() == 0 {
		options = append(options, "--user=root")
	}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		remove()
		return "", nil, err
	}
	defer log.Close()
	server := exec.Command("mariadbd", options...)
	server.Stdout, server.Stderr = log, log
	// The server must not outlive a test that is killed.
	server.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := server.Start(); err != nil {
		remove()
		return "", nil, err
	}
	stop = func() {
		server.Process.Signal(syscall.SIGTERM)
		server.Wait()
		remove()
	}
	if err := createDatabase(socket); err != nil {
		text, _ := os.ReadFile(log.Name())
		stop()
		return "", nil, fmt.Errorf("%w: %s", err, text)
	}
	return "mysql+pymysql://root@localhost/glance?charset=utf8&unix_socket=" + socket, stop, nil
}

// createDatabase makes a database as soon as the server answers.
func createDatabase(socket string) error {
	db, err := sql.Open("mysql", "root@unix("+socket+")/")
	if err != nil {
		return err
	}
	defer db.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for {
		_, err := db.ExecContext(ctx, `CREATE DATABASE glance CHARACTER SET utf8`)
		if err == nil || ctx.Err() != nil {
			return err
		}
		select {
		case <-ctx.Done():
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// wipe drops all tables.
func wipe(t testing.TB, url string) {
	t.Helper()
	c := open(t, url)
	conn, err := c.writers.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	tables, err := column(t.Context(), conn, `SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE()`)
	if err != nil {
		t.Fatal(err)
	}
	statements := []string{`SET foreign_key_checks = 0`}
	for _, table := range tables {
		statements = append(statements, "DROP TABLE "+table)
	}
	for _, s := range append(statements, `SET foreign_key_checks = 1`) {
		if _, err := conn.ExecContext(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
}
