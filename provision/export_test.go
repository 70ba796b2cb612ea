package provision

// NewWriter returns h as a machine that can be changed without a plan.
func NewWriter(h Host) Writer { return &machine{Host: h} }
