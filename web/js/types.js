/**
 * The bodies of the API that the page reads, as the service describes them. Times are Unix seconds, money is credits.
 *
 * @typedef {'waiting'|'queued'|'starting'|'uncertain'|'generating'|'storing'|'completed'|'failed'|'canceled'} Stage
 * @typedef {'queued'|'in_progress'|'completed'|'failed'|'canceled'} Status
 * @typedef {'16:9'|'9:16'} AspectRatio
 * @typedef {'360p'|'720p'|'1080p'|'4k'} Resolution
 *
 * @typedef {object} VideoError
 * @property {string} code
 * @property {string} message
 * @property {string|null} reason the provider's own words
 * @property {boolean} retryable
 * @property {string} suggested_action
 *
 * @typedef {object} VideoFile
 * @property {number} index
 * @property {number} size_bytes
 * @property {number} seconds
 * @property {number} width
 * @property {number} height
 *
 * @typedef {object} Video
 * @property {string} id
 * @property {Status} status
 * @property {Stage} stage
 * @property {number} progress 0 to 100
 * @property {string} model
 * @property {string} prompt
 * @property {string} seconds
 * @property {string} size width x height
 * @property {AspectRatio} aspect_ratio
 * @property {Resolution} resolution
 * @property {string|null} negative_prompt
 * @property {number|null} seed
 * @property {boolean} generate_audio
 * @property {number} count
 * @property {number} cost
 * @property {number} refunded
 * @property {number} expected_seconds
 * @property {VideoError|null} error
 * @property {VideoFile[]} files
 * @property {{role: 'first_frame'|'last_frame'|'reference'}[]} inputs
 * @property {string|null} extends the video that it goes on from
 * @property {number|null} added_seconds
 * @property {{code: string, message: string}[]} warnings
 * @property {string|null} project
 * @property {number} created_at
 * @property {number|null} started_at
 * @property {number|null} completed_at
 * @property {number|null} expires_at
 * @property {number} version
 *
 * @typedef {object} Model
 * @property {string} id
 * @property {boolean} default
 * @property {number[]} seconds
 * @property {number} default_seconds
 * @property {string[]} sizes
 * @property {string} default_size
 * @property {number[]} seconds_at_high_resolution
 * @property {number} max_count
 * @property {boolean} negative_prompt
 * @property {boolean} seed
 * @property {boolean} silent can make a video without sound
 * @property {boolean} first_frame
 * @property {boolean} last_frame
 * @property {number} max_reference_images
 * @property {number[]} seconds_with_reference_images empty: all
 * @property {number[]} seconds_with_last_frame empty: all
 * @property {Extension|null} extension
 * @property {number} credits_per_second
 * @property {Partial<Record<Resolution, number>>} [credits_per_second_by_resolution]
 * @property {number} expected_seconds
 *
 * @typedef {object} Extension how a model goes on from a video
 * @property {number[]} seconds of one step
 * @property {number} min_source_seconds
 * @property {number} max_source_seconds
 * @property {number} max_total_seconds
 * @property {Resolution[]} resolutions
 * @property {number} credits_per_second
 * @property {Partial<Record<Resolution, number>>} [credits_per_second_by_resolution]
 *
 * @typedef {object} Estimate
 * @property {number} cost
 * @property {number} cancel_returns once the generation has begun
 * @property {number} expected_seconds
 * @property {number} balance
 * @property {number} balance_after
 * @property {boolean} accepted
 * @property {string|null} refusal
 *
 * @typedef {object} AccountView
 * @property {string} id
 * @property {string|null} email
 * @property {boolean} email_verified
 * @property {string|null} display_name
 * @property {string} tenant
 * @property {'user'|'admin'|'operator'} role
 * @property {string} plan
 * @property {number} balance
 * @property {string[]} active_jobs
 * @property {number} active_jobs_limit
 * @property {number} created_at
 *
 * @typedef {object} Transaction
 * @property {string} id
 * @property {'signup'|'grant'|'charge'|'refund'} type
 * @property {number} amount signed
 * @property {number} balance_after
 * @property {string|null} video
 * @property {string} description
 * @property {number} created_at
 *
 * @typedef {object} SignedUrl
 * @property {string} url
 * @property {number} expires_at
 *
 * @typedef {'not_begun'|'billed'|'not_billed'|'uncertain'|'policy'|'daily_limit'} CancelReason
 *
 * @typedef {object} Cancellation what canceling would give back now
 * @property {number} cost
 * @property {number} cancel_returns
 * @property {number} kept
 * @property {CancelReason} reason
 *
 * @typedef {object} Canceled
 * @property {Video} video
 * @property {number} refunded
 * @property {number} kept
 * @property {string} message
 *
 * @typedef {object} CreateVideo what the form asks for
 * @property {string} prompt
 * @property {string} [model]
 * @property {number} [seconds]
 * @property {AspectRatio} [aspect_ratio]
 * @property {Resolution} [resolution]
 * @property {string} [negative_prompt]
 * @property {number} [seed]
 * @property {boolean} [generate_audio]
 * @property {number} [count]
 * @property {string} [extends]
 * @property {string} [project]
 * @property {number} [max_cost] the price that was shown
 *
 * @typedef {object} Project
 * @property {string} id
 * @property {string} title
 * @property {boolean} archived
 * @property {number} created_at
 *
 * @typedef {object} ApiKey
 * @property {string} id
 * @property {string} name
 * @property {'read'|'write'} scope
 * @property {string} prefix
 * @property {number} created_at
 * @property {number|null} expires_at
 * @property {number|null} last_used_at
 *
 * @typedef {object} WebhookEndpoint
 * @property {string} id
 * @property {string} url
 * @property {string[]} events
 * @property {string|null} description
 * @property {boolean} disabled
 * @property {string|null} disabled_reason
 * @property {number|null} paused_until
 * @property {number} created_at
 *
 * @typedef {object} Delivery
 * @property {string} id
 * @property {string|null} video
 * @property {string} event
 * @property {'pending'|'delivered'|'failed'} status
 * @property {number} tries
 * @property {number|null} last_status
 * @property {string|null} last_error
 * @property {number} created_at
 *
 * @typedef {object} Export
 * @property {string} id
 * @property {'queued'|'in_progress'|'completed'|'expired'|'canceled'} status
 * @property {number|null} expires_at
 * @property {{name: string, size_bytes: number, url: string}[]} files
 *
 * @typedef {object} User
 * @property {string} id
 * @property {string|null} email
 * @property {boolean} email_verified
 * @property {string|null} display_name
 * @property {'user'|'admin'|'operator'} role
 * @property {string} plan
 * @property {boolean} disabled
 * @property {number|null} closed_at
 * @property {number} balance
 * @property {string[]} active_jobs
 * @property {number} created_at
 *
 * @typedef {Video & {user: string}} TenantVideo
 *
 * @typedef {object} Config
 * @property {Record<string, any>} values in force, as stored and by default
 * @property {Record<string, any>} defaults
 * @property {Record<string, any>} stored
 * @property {string} etag of what is stored
 *
 * @typedef {object} TenantBudget in credits
 * @property {number} granted
 * @property {number} given
 * @property {number} left
 */

/**
 * @template T
 * @typedef {object} Page
 * @property {T[]} data
 * @property {string|null} last_id
 * @property {boolean} has_more
 */

export {};
