package proposals

// A BlockSpec describes one block of the language. The list of them is the
// one place that says what a proposal may contain: the decoder takes names,
// types and defaults from it, diagnostics their suggestions, and the
// reference its text.
type BlockSpec struct {
	// Path places the block: "role.cache" is a cache block in a role block.
	// A block whose attributes depend on its label has one entry a label, as
	// "role.backing.file".
	Path    string
	Syntax  string // as written, with its labels
	Meaning string
	Attrs   []AttrSpec
}

// An AttrSpec describes one attribute of a block.
type AttrSpec struct {
	Name     string
	Type     string // "string", "number", "bool", "list", "duration", "size", "path", "schedule"
	Default  string // an HCL expression; "" when there is none
	Implied  string // what holds when it is left out, if that is not a fixed value
	Required bool
	Secret   bool
	Meaning  string
	Barclamp string // the barclamp's name of it; "" when it had none
	Departs  string // how and why it differs from the barclamp
}

// Language returns the description of every block, in the order of the
// reference. The caller may change what it gets.
func Language() []BlockSpec {
	out := make([]BlockSpec, len(language))
	for i, b := range language {
		out[i] = b
		out[i].Attrs = append([]AttrSpec(nil), b.Attrs...)
	}
	return out
}

// spec returns the description of the block at path, or nil.
func spec(path string) *BlockSpec {
	for i := range language {
		if language[i].Path == path {
			return &language[i]
		}
	}
	return nil
}

// attr returns the description of the attribute called name, or nil.
func (b *BlockSpec) attr(name string) *AttrSpec {
	for i := range b.Attrs {
		if b.Attrs[i].Name == name {
			return &b.Attrs[i]
		}
	}
	return nil
}

const chosenBacking = "Every backing may be the one, as documented, and says so itself: the barclamp's code had one name for it, `file`, and its form left the choice out."

const neverConfigurable = "The barclamp had it as a constant in its cron recipe."

// language is the table. Nobody writes to it.
var language = []BlockSpec{
	{Path: "variable", Syntax: `variable "NAME"`, Meaning: "A value that is given from outside: by `-var`, by `-var-file`, by the environment variable `GLANCECTL_VAR_NAME`, or else by its default. The expression `var.NAME` is its value.", Attrs: []AttrSpec{
		{Name: "type", Type: "type", Implied: "any type", Meaning: "`string`, `number`, `bool`, `list`, `map`, or a type with elements such as `list(string)`."},
		{Name: "default", Type: "any", Implied: "none: the variable must be given", Meaning: "The value when none is given. It may call functions; it may not refer to other variables."},
		{Name: "sensitive", Type: "bool", Default: "false", Meaning: "The value is a secret and is never printed."},
		{Name: "description", Type: "string", Default: `""`, Meaning: "What the variable is for."},
	}},
	{Path: "locals", Syntax: "locals", Meaning: "Named values, in any order: `local.NAME` is the value of the attribute NAME. Every attribute is allowed."},
	{Path: "proposal", Syntax: `proposal "NAME"`, Meaning: "What is wanted on a set of nodes. A file may hold several.", Attrs: []AttrSpec{
		{Name: "description", Type: "string", Default: `""`, Meaning: "A line for people.", Barclamp: "description"},
		{Name: "inventory", Type: "string", Implied: "no inventory", Meaning: "A TOML file beside the proposal that names more nodes: a table `[nodes.NAME]` each, with the attributes of a `node` block; those of its `ssh` block as `ssh.user` and so on."},
	}},
	{Path: "ssh", Syntax: "ssh", Meaning: "How to log in. In a `proposal` it holds for all nodes; in a `node` it overrides that, attribute by attribute.", Attrs: []AttrSpec{
		{Name: "user", Type: "string", Default: `"root"`, Meaning: "The user to log in as. Any other than root needs `sudo` without a password."},
		{Name: "port", Type: "number", Default: "22", Meaning: "The port of the SSH server."},
		{Name: "private_key", Type: "string", Implied: "the agent, then the usual names below `~/.ssh`", Meaning: "File of the private key. A relative name starts at the proposal's directory, `~/` at the home directory."},
		{Name: "known_hosts", Type: "string", Implied: "`~/.ssh/known_hosts`", Meaning: "File of the known host keys; relative names as above."},
		{Name: "host_keys", Type: "string", Default: `"strict"`, Meaning: "`strict` refuses a host whose key is not known; `accept-new` accepts and remembers the key of a new host, and refuses a changed one."},
		{Name: "connect_timeout", Type: "duration", Default: "10", Meaning: "How long connecting and logging in may take."},
		{Name: "command_timeout", Type: "duration", Default: "600", Meaning: "How long one command may take. Bringing the tables up to date has an hour more."},
	}},
	{Path: "node", Syntax: `node "NAME"`, Meaning: "A machine that carries roles or instances.", Attrs: []AttrSpec{
		{Name: "address", Type: "string", Implied: "127.0.0.1 for a local node; otherwise required", Meaning: "IP address or host name that glancectl, the other nodes and clients reach it by."},
		{Name: "connection", Type: "string", Default: `"ssh"`, Meaning: "`ssh`, or `local` for the machine that glancectl runs on."},
		{Name: "init", Type: "string", Default: `"systemd"`, Meaning: "`systemd` installs units, users and cron files. `process` runs plain processes of the calling user below `root`, without rights and without cron."},
		{Name: "root", Type: "string", Implied: "the machine's own root; required with `init = \"process\"`", Meaning: "Directory that every path on the node is put below. A relative one starts at the proposal's directory."},
	}},
	{Path: "mysql", Syntax: `mysql "NAME"`, Meaning: "A MySQL or MariaDB server that databases are made on.", Attrs: []AttrSpec{
		{Name: "node", Type: "string", Required: true, Meaning: "The node it runs on. Administration goes through this node."},
		{Name: "address", Type: "string", Implied: "the address of its node", Meaning: "What the image nodes connect to, for example a load balancer before a cluster."},
		{Name: "port", Type: "number", Default: "3306", Meaning: "Its port."},
		{Name: "socket", Type: "path", Default: `"/run/mysqld/mysqld.sock"`, Meaning: "Its socket on the node."},
	}},
	{Path: "mysql.admin", Syntax: "admin", Meaning: "The account that makes databases and users. Left out: root by socket.", Attrs: []AttrSpec{
		{Name: "user", Type: "string", Required: true, Meaning: "Name of the account."},
		{Name: "password", Type: "string", Default: `""`, Secret: true, Meaning: "Password of the account."},
	}},
	{Path: "keystone", Syntax: `keystone "NAME"`, Meaning: "A Keystone, Identity API v3, that the image service registers in.", Attrs: []AttrSpec{
		{Name: "node", Type: "string", Implied: "calls go out from here", Meaning: "The node that calls to the Keystone go through."},
		{Name: "auth_url", Type: "string", Required: true, Meaning: "Its URL as the image nodes reach it. `/v3` is added when it is not there."},
		{Name: "region", Type: "string", Default: `"RegionOne"`, Meaning: "The region of the endpoints.", Departs: "The barclamp of that time had RegionOne as a constant."},
	}},
	{Path: "keystone.admin", Syntax: "admin", Meaning: "Where the administrator's credentials come from: exactly one of `openrc`, `clouds_yaml` with `cloud`, or `username` with `password`. Left out: the environment of glancectl, `OS_USERNAME` and the other variables of the OpenStack clients, or `OS_APPLICATION_CREDENTIAL_ID` with its secret; not `OS_CACERT`. It is asked for when there is work on the nodes; `validate` and `render` do without.", Attrs: []AttrSpec{
		{Name: "openrc", Type: "path", Implied: "not used", Meaning: "An openrc file on the Keystone's node."},
		{Name: "clouds_yaml", Type: "path", Implied: "not used", Meaning: "A clouds.yaml file on the Keystone's node."},
		{Name: "cloud", Type: "string", Implied: "required with `clouds_yaml`", Meaning: "The cloud in clouds.yaml."},
		{Name: "username", Type: "string", Implied: "not used", Meaning: "Name of the administrator."},
		{Name: "password", Type: "string", Implied: "required with `username`", Secret: true, Meaning: "Password of the administrator."},
		{Name: "project", Type: "string", Default: `"admin"`, Meaning: "Project of the administrator."},
		{Name: "user_domain", Type: "string", Default: `"Default"`, Meaning: "Domain of the administrator."},
		{Name: "project_domain", Type: "string", Default: `"Default"`, Meaning: "Domain of the project."},
	}},
	{Path: "rabbitmq", Syntax: `rabbitmq "NAME"`, Meaning: "A RabbitMQ that notifications are sent to. It is administered by `rabbitmqctl` on its node, as root.", Attrs: []AttrSpec{
		{Name: "node", Type: "string", Required: true, Meaning: "The node it runs on."},
		{Name: "address", Type: "string", Implied: "the address of its node", Meaning: "What the image nodes connect to."},
		{Name: "port", Type: "number", Default: "5672", Meaning: "Its port."},
	}},
	{Path: "role", Syntax: `role "glance-server"`, Meaning: "The image service: its two daemons and its jobs on every node that is named.", Attrs: []AttrSpec{
		{Name: "nodes", Type: "list", Required: true, Meaning: "The nodes that carry the role. A node that is taken out of the list is left as it is and its service keeps running: run `glancectl destroy` before, with a copy of the proposal as it was that names this node alone.", Barclamp: "elements.glance-server"},
		{Name: "user", Type: "string", Default: `"glance"`, Meaning: "The system user that the service runs as."},
		{Name: "group", Type: "string", Default: `"glance"`, Meaning: "Its group."},
		{Name: "working_directory", Type: "path", Default: `"/var/lib/glance"`, Meaning: "Home of the user and place of the lock files.", Barclamp: "working_directory", Departs: "It is used: the barclamp put nothing there but downloads of preloaded images."},
		{Name: "pid_directory", Type: "path", Default: `"/var/run/glance"`, Meaning: "Where the daemons write their process ids.", Barclamp: "pid_directory", Departs: "It is used: the barclamp's templates never read it."},
		{Name: "notifier_strategy", Type: "string", Default: `"noop"`, Meaning: "`noop` sends no notifications; `logging` writes a line for each event to the log; `rabbit` sends them to a RabbitMQ.", Barclamp: "notifier_strategy", Departs: "The documentation says `Noop`; lower case is what the service takes. `logging` is new, and `rabbit` came later."},
		{Name: "use_syslog", Type: "bool", Default: "false", Meaning: "Every process logs to syslog.", Barclamp: "use_syslog", Departs: "It holds for every process: the barclamp's registry ignored it."},
		{Name: "images", Type: "list", Default: "[]", Meaning: "Images to load when the service runs: URLs, or files (a relative name starts at the proposal's directory).", Barclamp: "images", Departs: "Empty by default: the barclamp's image was on its administration server."},
		{Name: "delayed_delete", Type: "bool", Default: "false", Meaning: "Deleted images wait as `pending_delete` until the scrubber removes their data.", Departs: "The barclamp had it as the constant false, so its scrubber never had anything to do."},
		{Name: "scrub_time", Type: "duration", Default: "0", Meaning: "How long the data of a `pending_delete` image is kept at least.", Departs: "The barclamp had it as a constant."},
	}},
	{Path: "role.backing.file", Syntax: `backing "file"`, Meaning: "Image data in a directory of each node. It is the backing when no `backing` block is there.", Attrs: []AttrSpec{
		{Name: "directory", Type: "path", Default: `"/var/lib/glance/images"`, Meaning: "Where image data is kept.", Barclamp: "filesystem_store_datadir"},
		{Name: "default", Type: "bool", Implied: "true when it is the only backing", Meaning: "New images go here. One of several backings must say so.", Barclamp: "default_store", Departs: chosenBacking},
	}},
	{Path: "role.backing.swift", Syntax: `backing "swift"`, Meaning: "Image data in OpenStack Swift.", Attrs: []AttrSpec{
		{Name: "auth_address", Type: "string", Default: `"127.0.0.1:8080/v1.0"`, Meaning: "Where to log in; the version in the path decides how (v1.0 or v3).", Barclamp: "swift_store_auth_address"},
		{Name: "user", Type: "string", Default: `"glance"`, Meaning: "Account to log in with.", Barclamp: "swift_store_user", Departs: "The documentation says `glance`, the barclamp's code `glance_user`; the documentation is followed."},
		{Name: "key", Type: "string", Default: `"glance"`, Secret: true, Meaning: "Its key.", Barclamp: "swift_store_key", Departs: "The documentation says `glance`, the barclamp's code `glance_key`; the documentation is followed. It is rendered into a file that only the service can read."},
		{Name: "container", Type: "string", Default: `"glance"`, Meaning: "Container for image data.", Barclamp: "swift_store_container"},
		{Name: "create_container", Type: "bool", Default: "false", Meaning: "Make the container when it is not there.", Barclamp: "swift_store_create_container_on_put"},
		{Name: "default", Type: "bool", Implied: "true when it is the only backing", Meaning: "New images go here. One of several backings must say so.", Barclamp: "default_store", Departs: chosenBacking},
	}},
	{Path: "role.cache", Syntax: "cache", Meaning: "A cache of image data on each node. The jobs reaper, pruner and prefetcher are installed while it is enabled and removed when it is not.", Attrs: []AttrSpec{
		{Name: "enabled", Type: "bool", Default: "false", Meaning: "Downloads fill the cache and are served from it.", Barclamp: "enable_caching", Departs: "It works without a Keystone too: the barclamp's templates had no pipeline for that."},
		{Name: "management", Type: "bool", Default: "false", Meaning: "The cache management calls of the API.", Barclamp: "use_cachemanagement"},
		{Name: "directory", Type: "path", Default: `"/var/lib/glance/image-cache"`, Meaning: "Where cached data is kept.", Barclamp: "image_cache_datadir"},
		{Name: "grace_period", Type: "duration", Default: "3600", Meaning: "How long an invalid entry is kept before it is reaped.", Barclamp: "image_cache_grace_period", Departs: "The documentation calls it a timeout for accessing the image; what it does is described here."},
		{Name: "stall_timeout", Type: "duration", Default: "86400", Meaning: "After how long an incomplete entry counts as stalled and may be reaped.", Barclamp: "image_cache_stall_timeout", Departs: "The documentation calls it a timeout of a stalled get request; what it does is described here."},
		{Name: "max_size", Type: "size", Default: `"10GiB"`, Meaning: "What the pruner prunes the cache to.", Barclamp: "image_cache_max_size", Departs: "The pruner reads it: the barclamp's pruner had 1 GiB as a constant."},
		{Name: "extra_to_free", Type: "number", Default: "0.20", Meaning: "Share of `max_size` that the pruner frees beyond it, 0 to 1.", Departs: "The barclamp had it as a constant."},
	}},
	{Path: "role.database.mysql", Syntax: `database "mysql"`, Meaning: "Image metadata in a MySQL database that is made on an instance. It is the default when the proposal names a `mysql`.", Attrs: []AttrSpec{
		{Name: "instance", Type: "string", Implied: "the first `mysql` of the proposal", Meaning: "The `mysql` block to use.", Barclamp: "mysql_instance", Departs: "A name that nobody defines is a mistake: the barclamp used the local machine instead."},
		{Name: "name", Type: "string", Default: `"glance"`, Meaning: "Name of the database.", Departs: "The barclamp of that time called it `glancedb`; `glance` is what later ones and everybody else say."},
		{Name: "user", Type: "string", Default: `"glance"`, Meaning: "The database user of the service."},
		{Name: "password", Type: "string", Implied: "generated once and kept on the nodes", Secret: true, Meaning: "Its password."},
		{Name: "idle_timeout", Type: "duration", Default: "3600", Meaning: "After how long a connection is replaced.", Barclamp: "sql_idle_timeout", Departs: "Every process reads it: the barclamp's registry had a constant."},
	}},
	{Path: "role.database.sqlite", Syntax: `database "sqlite"`, Meaning: "Image metadata in a file of each node. It is the default when the proposal names no `mysql`.", Attrs: []AttrSpec{
		{Name: "connection", Type: "string", Default: `"sqlite:////var/lib/glance/glance.sqlite"`, Meaning: "`sqlite:////` and the rest of an absolute file name.", Barclamp: "sqlite_connection", Departs: "Four slashes, as in the barclamp's code. The documentation's `sqlite:var/lib/...` would be relative to wherever a process starts."},
		{Name: "idle_timeout", Type: "duration", Default: "3600", Meaning: "After how long a connection is replaced.", Barclamp: "sql_idle_timeout"},
	}},
	{Path: "role.keystone", Syntax: "keystone", Meaning: "How the service uses a Keystone. Left out: the first `keystone` of the proposal; without one there is no authentication and everybody is an administrator.", Attrs: []AttrSpec{
		{Name: "enabled", Type: "bool", Default: "true", Meaning: "False switches authentication off although the proposal names a Keystone.", Barclamp: "use_keystone", Departs: "Without a Keystone every file is complete: the barclamp left holes in its templates."},
		{Name: "instance", Type: "string", Implied: "the first `keystone` of the proposal", Meaning: "The `keystone` block to use.", Barclamp: "keystone_instance", Departs: "A name that nobody defines is a mistake: the barclamp used the local machine instead."},
		{Name: "service_user", Type: "string", Default: `"glance"`, Meaning: "The user that the service validates tokens as.", Barclamp: "service_user"},
		{Name: "service_password", Type: "string", Implied: "generated once and kept on the nodes", Secret: true, Meaning: "Its password.", Barclamp: "service_password", Departs: "A generated one is long and random: the barclamp's had twelve digits."},
		{Name: "service_project", Type: "string", Default: `"service"`, Meaning: "The project of the service user."},
		{Name: "service_role", Type: "string", Default: `"admin"`, Meaning: "The role of the service user in that project."},
		{Name: "domain", Type: "string", Default: `"Default"`, Meaning: "The domain of both."},
		{Name: "public_host", Type: "string", Implied: "the address of the first node of the role", Meaning: "Host in the URL of the public endpoint."},
		{Name: "internal_host", Type: "string", Implied: "the address of the first node of the role", Meaning: "Host in the URL of the internal endpoint."},
		{Name: "admin_host", Type: "string", Implied: "the address of the first node of the role", Meaning: "Host in the URL of the admin endpoint."},
	}},
	{Path: "role.rabbitmq", Syntax: "rabbitmq", Meaning: "How the service uses a RabbitMQ, with `notifier_strategy = \"rabbit\"`. Left out: the first `rabbitmq` of the proposal, with these defaults.", Attrs: []AttrSpec{
		{Name: "instance", Type: "string", Implied: "the first `rabbitmq` of the proposal", Meaning: "The `rabbitmq` block to use.", Barclamp: "rabbitmq_instance", Departs: "A name that nobody defines is a mistake: the barclamp used the local machine instead."},
		{Name: "virtual_host", Type: "string", Default: `"glance"`, Meaning: "The virtual host, which is made."},
		{Name: "user", Type: "string", Default: `"glance"`, Meaning: "The user, who is made and may do everything in the virtual host."},
		{Name: "password", Type: "string", Implied: "generated once and kept on the nodes", Secret: true, Meaning: "Its password."},
	}},
	daemon("api", "9292", "The Images API, the endpoint that clients use.", AttrSpec{Default: "true", Departs: "True, as documented: the barclamp's code of that time said false, which kept every user out, and changed to true half a year later."},
		AttrSpec{Name: "enable_v1_api", Type: "bool", Default: "true", Meaning: "Serve version 1 of the API beside version 2; it keeps its metadata behind the registry."}),
	daemon("registry", "9191", "The registry.", AttrSpec{Default: "false", Departs: "False: newer documentation calls the registry private. Bind it to all addresses only where another machine needs it."}),
	job("scrubber", "1 * * * *", "Removes the data of `pending_delete` images."),
	job("reaper", "5 * * * *", "Removes invalid and stalled entries of the cache. Its program is glance-cache-reaper."),
	job("prefetcher", "25 * * * *", "Loads queued images into the cache. Its program is glance-cache-prefetcher."),
	job("pruner", "45 * * * *", "Prunes the cache to its size. Its program is glance-cache-pruner."),
	{Path: "role.config", Syntax: `config "NAME"`, Meaning: "Options that are added to a file that is rendered, or override what is rendered. NAME is `glance-api`, `glance-registry`, `glance-cache`, `glance-scrubber`, `glance-reaper`, `glance-pruner`, `glance-prefetcher` or `glance-manage`."},
	{Path: "role.config.section", Syntax: `section "NAME"`, Meaning: "A section of that file. Every attribute is allowed: a list gives the option once for each element, a boolean is written `True` or `False`. The value is that of oslo.config as it is: `$x` stands for the option x, and a dollar is written `$$`."},
}

// daemon describes the block of a daemon; bind is what its bind_to_all has of
// its own, more are attributes that only it has.
func daemon(name, port, meaning string, bind AttrSpec, more ...AttrSpec) BlockSpec {
	attrs := []AttrSpec{
		{Name: "port", Type: "number", Default: port, Meaning: "The port it listens on.", Barclamp: name + ".bind_port"},
		{Name: "bind_to_all", Type: "bool", Default: bind.Default, Meaning: "Listen on every address of the node, not just on the node's own.", Barclamp: name + ".bind_open_address", Departs: bind.Departs},
	}
	attrs = append(attrs, element(name)...)
	attrs = append(attrs,
		AttrSpec{Name: "paste_file", Type: "path", Default: `"/etc/glance/glance-` + name + `-paste.ini"`, Meaning: "File of its pipelines.", Barclamp: name + ".paste_ini"},
		AttrSpec{Name: "workers", Type: "number", Default: "0", Meaning: "How many processors it uses; 0 means all."},
	)
	return BlockSpec{Path: "role." + name, Syntax: name, Meaning: meaning, Attrs: append(attrs, more...)}
}

// job describes the block of a job that cron starts.
func job(name, schedule, meaning string) BlockSpec {
	attrs := []AttrSpec{
		{Name: "schedule", Type: "schedule", Default: `"` + schedule + `"`, Meaning: "When it starts: the five fields of cron.", Departs: neverConfigurable},
		{Name: "user", Type: "string", Implied: "the role's `user`", Meaning: "The system user it runs as: the role's, or `root`. Nobody else can read its configuration.", Departs: neverConfigurable},
		{Name: "timeout", Type: "duration", Default: "0", Meaning: "It is ended after this long; 0 means never."},
		{Name: "jitter", Type: "duration", Default: "0", Meaning: "It waits a random time up to this long before it starts, so that many nodes do not start at once."},
	}
	return BlockSpec{Path: "role." + name, Syntax: name, Meaning: meaning, Attrs: append(attrs, element(name)...)}
}

// element describes what the blocks of all processes have.
func element(name string) []AttrSpec {
	return []AttrSpec{
		{Name: "debug", Type: "bool", Default: "false", Meaning: "Log everything.", Barclamp: name + ".debug"},
		{Name: "verbose", Type: "bool", Default: "true", Meaning: "Log what is done; false leaves warnings and errors.", Barclamp: name + ".verbose"},
		{Name: "log_file", Type: "path", Default: `"/var/log/glance/` + name + `.log"`, Meaning: "Its log.", Barclamp: name + ".log_file"},
		{Name: "config_file", Type: "path", Default: `"/etc/glance/glance-` + name + `.conf"`, Meaning: "Its configuration, readable by root and the service's group.", Barclamp: name + ".config_file"},
	}
}
