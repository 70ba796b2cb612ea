package config

import (
	"math"
	"time"
)

// Database is the database of the catalog, and how it is reached if it is a
// server's.
type Database struct {
	URL Secret
	Pos string // where the URL stands
	Key Secret // hides the URLs of locations; "" hides nothing

	// Connections. The numbers are those of this process, which has one pool.
	Recycle time.Duration // how old one gets; negative means any age
	Keep    int           // how many stay open; 0 means all
	Open    int           // how many there may be; 0 means the catalog's own choice, negative any number
	Wait    time.Duration // how long to wait for one; 0 means the catalog's own choice

	// Tries is how often a program that does its work and ends tries to reach
	// the database before it begins, Pause how long it waits between two;
	// negative means for ever.
	Tries int
	Pause time.Duration
}

// What oslo.db has where the files say nothing.
const (
	poolSize     = 5
	poolOverflow = 50
)

// database reads what the database is, and how many connections it may get.
// Who says nothing about these gets those that suit this service, whose one
// process does what several of the original do.
func (r *reader) database() Database {
	names := []string{"database.connection", "DEFAULT.sql_connection", "database.sql_connection", "sql.connection"}
	d := Database{
		URL:   r.secret(names...),
		Pos:   r.pos(names...),
		Key:   r.secret("DEFAULT.metadata_encryption_key"),
		Pause: r.seconds(10*time.Second, "database.retry_interval", "database.reconnect_interval", "DEFAULT.sql_retry_interval"),
		Wait:  r.seconds(0, "database.pool_timeout", "database.sqlalchemy_pool_timeout"),
	}
	d.Recycle = time.Duration(r.integer(3600, -1, math.MaxInt32, "database.connection_recycle_time", "database.idle_timeout",
		"DEFAULT.sql_idle_timeout", "database.sql_idle_timeout", "sql.idle_timeout")) * time.Second
	d.Tries = r.number(0, -1, "database.max_retries", "database.sql_max_retries", "DEFAULT.sql_max_retries")
	sizes := []string{"database.max_pool_size", "database.sql_max_pool_size", "DEFAULT.sql_max_pool_size"}
	overflows := []string{"database.max_overflow", "database.sqlalchemy_max_overflow", "DEFAULT.sql_max_overflow"}
	size, overflow := r.number(poolSize, 0, sizes...), r.number(poolOverflow, -1, overflows...)
	_, sized, _ := r.lookup(sizes)
	_, over, _ := r.lookup(overflows)
	switch {
	case !sized && !over:
	case size == 0 || overflow < 0: // there is no limit
		d.Keep, d.Open = size, -1
	default:
		d.Keep, d.Open = size, size+overflow
	}
	return d
}
