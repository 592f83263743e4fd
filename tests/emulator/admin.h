/* /emu/…: what tests use to look behind the scenes and to arrange them. */
#ifndef EMU_ADMIN_H
#define EMU_ADMIN_H

#include "http.h"

void admin_knobs(struct request *rq);
void admin_set(struct request *rq);
void admin_faults(struct request *rq);
void admin_fault(struct request *rq);
void admin_fault_reset(struct request *rq);
void admin_stats(struct request *rq);
void admin_stats_reset(struct request *rq);
void admin_quota(struct request *rq);
void admin_quota_reset(struct request *rq);
void admin_jobs(struct request *rq);
void admin_job_add(struct request *rq);
void admin_job_change(struct request *rq);
void admin_job_forget(struct request *rq);
void admin_file_change(struct request *rq);

#endif
