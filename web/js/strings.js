/** Every sentence that the page says but for identity_strings.js and admin/strings.js. Elements of index.html name theirs in data-t attributes. */

/** @param {number} n @param {string} one @param {string} many */
const plural = (n, one, many) => (n === 1 ? one : many);

export const strings = {
  app: {
    name: 'Rushes',
    skip: 'Skip to content',
    studio: 'Studio',
    create: 'Create',
    videos: 'Videos',
    account: 'Account',
    admin: 'Admin',
    signOut: 'Sign out',
    nav: 'Main',
    close: 'Close',
    /** @param {string} room @param {number} unfinished */
    title: (room, unfinished) => `${unfinished ? `(${unfinished}) ` : ''}${room ? `${room} · ` : ''}Rushes`,
    offline: 'Can’t reach Rushes. Your videos keep generating. Reconnecting…',
    failedToStart: 'Something went wrong while loading the studio.',
    tryAgain: 'Try again',
    loading: 'Loading…',
    cancel: 'Cancel',
    save: 'Save',
    saved: 'Saved.',
    actions: 'Actions',
    copy: 'Copy',
    copied: 'Copied.',
    notCopied: 'Couldn’t copy. Select the text and press Ctrl+C.',
    undo: 'Undo',
    more: 'Show more',
    none: '–',
  },
  signIn: {
    headline: 'Describe a shot. Watch it in minutes.',
    lead: 'Turn a few sentences into video with sound. See the price before you generate; failed videos are refunded automatically.',
    signInTitle: 'Sign in',
    signUpTitle: 'Create your account',
    email: 'Email',
    password: 'Password',
    signIn: 'Sign in',
    signUp: 'Create account',
    google: 'Continue with Google',
    toSignUp: 'New here? Create an account',
    toSignIn: 'Have an account? Sign in',
    forgot: 'Forgot your password?',
    ended: 'You’ve been signed out. Sign in again — your draft is saved.',
  },
  reauthentication: {
    title: 'Enter your password again',
    titleGoogle: 'Sign in again',
    /** @param {string} email */
    lead: (email) => `This requires a sign-in within the last five minutes. You’re signed in as ${email}.`,
    /** @param {string} email */
    leadGoogle: (email) => `Confirm with Google that you’re ${email}. You’ll come back here; then try again.`,
    confirm: 'Continue',
  },
  compose: {
    title: 'New video',
    clear: 'Clear',
    cleared: 'Cleared.',
    prompt: 'Prompt',
    project: 'Project',
    noProject: 'No project',
    placeholder: 'Describe your shot: subject, setting, light, camera movement, sound.',
    shortcut: 'Ctrl + Enter to generate',
    shortcutMac: '⌘ + Enter to generate',
    /** @param {string} used @param {string} limit */
    tokens: (used, limit) => `${used} / ${limit} tokens`,
    model: 'Model',
    /** @param {string} name @param {string} credits */
    modelOption: (name, credits) => `${name} · ${credits} credits/s`,
    /** @param {string} name */
    modelBarred: (name) => `${name} · can’t extend this video`,
    orientation: 'Orientation',
    orientations: { '16:9': 'Landscape', '9:16': 'Portrait' },
    resolution: 'Resolution',
    seconds: 'Length',
    /** @param {number} seconds */
    secondsOption: (seconds) => `${seconds} s`,
    /** @param {number} seconds */
    addedOption: (seconds) => `+ ${seconds} s`,
    sound: 'Sound',
    soundHelp: 'Dialogue, effects and music',
    more: 'More settings',
    count: 'Number of videos',
    negative: 'Negative prompt',
    negativePlaceholder: 'Things to avoid, such as text or crowds',
    seed: 'Seed',
    seedPlaceholder: 'Random',
    seedHelp: 'The same seed and prompt give a similar video.',
    cost: 'Cost',
    /** @param {string} credits @param {number} n */
    credits: (credits, n) => `${credits} ${plural(n, 'credit', 'credits')}`,
    usual: 'Typical time',
    balanceAfter: 'Balance after',
    send: 'Generate',
    sending: 'Sending…',
    sent: 'Sent',
    retrying: 'Still trying… You won’t be charged twice.',
    reasons: {
      /** @param {string} model @param {string} what */
      notOffered: (model, what) => `${model} doesn’t support ${what}.`,
      /** @param {string} resolution @param {string} lengths */
      highResolution: (resolution, lengths) => `Videos in ${resolution} must be ${lengths} long.`,
      /** @param {string} model */
      alwaysSound: (model) => `${model} videos always include sound.`,
      /** @param {string} model */
      noNegative: (model) => `${model} has no negative prompt. Put it in your prompt instead.`,
      /** @param {string} model */
      noSeed: (model) => `Not available with ${model}.`,
      /** @param {string} orientation */
      orientation: (orientation) => `${orientation.toLowerCase()} video`,
      /** @param {string} lengths */
      references: (lengths) => `With reference images, videos must be ${lengths} long.`,
      /** @param {string} lengths */
      lastFrame: (lengths) => `With a last frame, videos must be ${lengths} long.`,
      extension: 'Same as the original video.',
      /** @param {string} model @param {string} lengths */
      extensionLength: (model, lengths) => `${model} adds ${lengths}.`,
      /** @param {string} models */
      cannotExtend: (models) => `${models} can’t extend this video.`,
    },
    /** Why the service would reject the request now, by code. */
    refusals: /** @type {Record<string, string>} */ ({
      INSUFFICIENT_CREDITS: 'Not enough credits. Choose a shorter video or get credits.',
      TOO_MANY_ACTIVE_JOBS: 'You’re already generating the maximum number of videos. Wait for one to finish or cancel one.',
      GENERATION_DISABLED: 'Generation is paused right now. Your draft is saved.',
      ACCOUNT_DISABLED: 'This account is disabled. Ask an administrator why.',
    }),
    problems: {
      empty: 'Write a prompt first.',
      /** @param {string} over */
      tooLong: (over) => `The prompt is ${over} tokens too long.`,
      seed: 'Enter a whole number from 0 to 4,294,967,295.',
      firstMissing: 'A last frame needs a first frame. Add one, or remove the last frame.',
      noExtension: 'No available model can extend this video. Remove it to create a new one.',
    },
  },
  source: {
    title: 'Extending',
    remove: 'Don’t extend this video',
  },
  images: {
    title: 'Images',
    first: 'First frame',
    last: 'Last frame',
    reference: 'References',
    help: 'Drop, paste or choose a PNG, JPEG or WebP (max 8 MiB).',
    /** @param {string} slot */
    add: (slot) => `Add an image: ${slot}`,
    /** @param {string} slot @param {string} name */
    remove: (slot, name) => `Remove ${name} (${slot})`,
    /** @param {string} name @param {string} slot */
    added: (name, slot) => `${name}: ${slot}`,
    pasted: 'Pasted image',
    reasons: {
      extension: 'You can’t use images when extending a video.',
      notBoth: 'You can use either references or first/last frames, not both.',
      needsFirst: 'A last frame needs a first frame.',
      /** @param {string} model */
      noFirst: (model) => `First frames aren’t available with ${model}.`,
      /** @param {string} model */
      noLast: (model) => `Last frames aren’t available with ${model}.`,
      /** @param {string} model */
      noReferences: (model) => `Reference images aren’t available with ${model}.`,
      /** @param {number} n */
      full: (n) => `Maximum of ${n} reference images reached.`,
    },
    faults: {
      /** @param {string} name */
      type: (name) => `${name} isn’t a PNG, JPEG or WebP image.`,
      /** @param {string} name */
      tooLarge: (name) => `${name} is larger than 8 MiB.`,
      /** @param {string} name @param {string} size */
      pixels: (name, size) => `${name} is ${size} pixels. Each side must have 64 to 8,192 pixels, and the image at most 36 million.`,
      /** @param {string} name */
      noRoom: (name) => `No free slot for ${name}. Remove an image or switch models.`,
    },
  },
  templates: {
    open: 'Templates',
    title: 'Start from a template',
    lead: 'Fill in the blanks. Anything you leave empty uses the example.',
    which: 'Template',
    use: 'Use this prompt',
    /** Words in braces are blanks: {name|example}. */
    all: [
      {
        title: 'Product shot',
        text: '{product|A matte black espresso machine} turns slowly on {surface|wet slate}, {light|one soft light from the left}. Macro lens, shallow depth of field, the camera glides past. Sound: {sound|a low hum and one drop falling}.',
      },
      {
        title: 'Establishing shot',
        text: 'Slow aerial shot over {place|a fishing village on a rocky coast} at {time|first light}, {weather|thin mist lifting off the water}. The camera rises and turns. Sound: {sound|gulls and distant surf}.',
      },
      {
        title: 'Character moment',
        text: 'Medium close-up of {person|an old watchmaker} who {action|holds a tiny gear up to the lamp and smiles}, in {place|a cluttered workshop}. Handheld, {mood|warm and quiet}. Dialogue: “{line|There you are.}”',
      },
      {
        title: 'Time-lapse',
        text: 'Time-lapse of {subject|a city square} from {from|dusk} to {to|deep night}, locked-off wide shot, {detail|lights come on one by one and traffic turns to streaks}.',
      },
      {
        title: 'Stop motion',
        text: 'Stop-motion animation of {hero|a felt fox} that {action|builds a boat from a walnut shell} on {set|a kitchen table}, visible fingerprints, twelve frames a second. Sound: {sound|tiny wooden taps}.',
      },
    ],
  },
  library: {
    title: 'Your videos',
    loading: 'Loading your videos',
    more: 'Show more',
    failed: 'Couldn’t load your videos.',
    /** @param {number} n */
    underWay: (n) => (n ? `${n} generating` : ''),
    emptyTitle: 'No videos yet',
    emptyLead: 'Your videos will appear here. You can close this page while they generate.',
    steps: [
      'Describe a shot or start from an example. You see the price first.',
      'Most videos take a minute or two. Failed ones are refunded automatically.',
      'Watch, download, extend, or create another one from the same prompt.',
    ],
    allLoaded: 'No more videos.',
    use: 'Use this prompt',
    starters: [
      {
        title: 'Paper boat',
        prompt:
          'A small paper boat drifts down a rain gutter at night, neon signs mirrored in the water. Low tracking shot at water level, shallow depth of field. Soft rain and distant traffic.',
      },
      {
        title: 'First light',
        prompt:
          'Slow aerial shot over a mist-filled valley of pines at sunrise, long golden shadows, a single bird crossing the frame. Calm wind and a far-off church bell.',
      },
      {
        title: 'The baker',
        prompt:
          'Close-up of a baker’s hands dusting flour over dough in warm morning light, fine particles floating in the air, handheld camera. Gentle kitchen sounds and humming.',
      },
    ],
  },
  card: {
    /** @param {string} prompt */
    play: (prompt) => `Play: ${prompt}`,
    /** @param {string} prompt */
    details: (prompt) => `Details: ${prompt}`,
    cancel: 'Cancel',
    /** @param {string} prompt */
    cancelThis: (prompt) => `Cancel: ${prompt}`,
    reuse: 'Use this prompt again',
    extend: 'Extend this video',
    remove: 'Delete',
    failed: 'Failed',
    canceled: 'Canceled',
    expired: 'Expired',
    /** @param {string} credits @param {number} n */
    refunded: (credits, n) => `${credits} ${plural(n, 'credit', 'credits')} refunded`,
    noRefund: 'No refund',
    progress: 'Progress',
    stages: {
      waiting: 'Waiting for a free slot',
      queued: 'Queued',
      starting: 'Starting',
      uncertain: 'Checking status',
      generating: 'Generating',
      storing: 'Saving the video',
      completed: 'Ready',
      failed: 'Failed',
      canceled: 'Canceled',
    },
    /** @param {string} elapsed @param {string} expected */
    times: (elapsed, expected) => `${elapsed} · usually ${expected}`,
    /** @param {string} elapsed */
    late: (elapsed) => `${elapsed} · longer than usual`,
    /** @param {number} n */
    files: (n) => `${n} videos`,
    /** @param {string} prompt */
    choose: (prompt) => `Select: ${prompt}`,
    cancelTitle: 'Cancel this video?',
    /** @param {string} credits */
    cancelAll: (credits) => `You’ll get all ${credits} back.`,
    /** @param {string} credits */
    cancelNothing: (credits) => `You won’t get a refund of the ${credits}.`,
    /** @param {string} returned @param {string} credits */
    cancelPart: (returned, credits) => `You’ll get ${returned} of ${credits} back.`,
    /** Why that many credits are refunded. @type {Record<import('./types.js').CancelReason, string>} */
    cancelReasons: {
      not_begun: 'Generation hasn’t started.',
      billed: 'Generation has started, and the provider bills for it even if it’s stopped.',
      not_billed: 'Generation can be stopped free of charge.',
      uncertain: 'It isn’t known yet whether generation has started. If it hasn’t, the video fails within minutes and is refunded in full.',
      policy: '',
      daily_limit: 'Generation has started, and today’s refunds for started videos are used up.',
    },
    cancelChanged: 'Generation has started in the meantime. Nothing was canceled.',
    cancelYes: 'Cancel video',
    cancelNo: 'Keep generating',
    /** @param {number} n */
    removed: (n) => (n === 1 ? 'Video deleted.' : `${n} videos deleted.`),
    /** @param {number} n */
    broughtBack: (n) => (n === 1 ? 'Video restored.' : `${n} videos restored.`),
    notRemoved: 'Not deleted:',
    /** @param {string} prompt */
    ready: (prompt) => `Ready: ${prompt}`,
    /** @param {string} message */
    notMade: (message) => `Failed: ${message}`,
  },
  filters: {
    label: 'Find videos',
    text: 'Search prompts',
    kind: 'Show',
    when: 'Created',
    all: 'All videos',
    byStatus: 'Status',
    byModel: 'Model',
    byProject: 'Project',
    statuses: {
      queued: 'Queued',
      in_progress: 'Generating',
      completed: 'Ready',
      failed: 'Failed',
      canceled: 'Canceled',
    },
    whens: { ever: 'Any time', today: 'Today', week: 'Last 7 days', month: 'Last 30 days', days: 'Custom range…' },
    from: 'From',
    to: 'To',
    clear: 'Show all videos',
    /** @param {string} text @param {string} loaded */
    noHit: (text, loaded) => `No results for “${text}” in the ${loaded} loaded videos. Load more videos to search further back.`,
    nothing: 'No videos match these filters.',
  },
  selection: {
    label: 'Selected videos',
    start: 'Select',
    end: 'Done',
    all: 'Select all',
    remove: 'Delete',
    /** @param {number} n */
    count: (n) => (n ? `${n} selected` : 'Select videos'),
  },
  notices: {
    on: 'Notifications on. Click to turn off.',
    off: 'Notify me when a video is done',
    blocked: 'Your browser blocks notifications from this page. Allow them in its settings.',
    ready: 'Your video is ready',
    failed: 'Your video failed',
  },
  player: {
    label: 'Video',
    prompt: 'Prompt of this video',
    newer: 'Newer video',
    older: 'Older video',
    /** @param {number} at @param {number} of */
    place: (at, of) => `${at} of ${of}`,
    loop: 'Loop',
    full: 'Full screen',
    link: 'Copy link',
    linkCopied: 'Link copied. Only you can open it.',
    extend: 'Extend',
    cannotExtend: 'No available model can extend this video.',
    extended: 'Extends',
    extendedFrom: 'another video',
    images: 'Images',
    inputs: { first_frame: 'first frame', last_frame: 'last frame', reference: 'reference' },
    project: 'Project',
    download: 'Download',
    downloading: 'Downloading…',
    reuse: 'Use prompt',
    remove: 'Delete',
    which: 'Version',
    failed: 'Couldn’t load the video.',
    model: 'Model',
    length: 'Length',
    size: 'Size',
    sound: 'Sound',
    soundOn: 'With sound',
    soundOff: 'Silent',
    seed: 'Seed',
    negative: 'Negative prompt',
    made: 'Created',
    took: 'Generation time',
    cost: 'Cost',
    returned: 'Refunded',
    keptUntil: 'Expires',
    file: 'File size',
    reason: 'Details',
    suggestion: 'What you can do',
    underWay: 'Still generating. It will appear here when it’s ready.',
    missing: 'Video not found. It may have been deleted or belong to another account.',
  },
  account: {
    title: 'Account',
    sections: { overview: 'Overview', ledger: 'Ledger', keys: 'API keys', webhooks: 'Webhooks', data: 'Your data' },
    balance: 'Balance',
    unit: 'credits',
    /** @param {string} balance */
    balanceLabel: (balance) => `Balance: ${balance} credits. Open the account.`,
    profile: 'Profile',
    name: 'Name',
    nameHelp: 'Visible to administrators.',
    email: 'Email',
    plan: 'Plan',
    active: 'Generating',
    /** @param {number} active @param {number} limit */
    activeOf: (active, limit) => `${active} of ${limit}`,
    since: 'Member since',
    appearance: 'Appearance',
    themes: { system: 'System', dark: 'Dark', light: 'Light' },
    usage: 'Daily usage',
    /** @param {number} days */
    usageLead: (days) => `Last ${days} days. Credits net of refunds; videos counted on the day they were requested.`,
    /** @param {string} date */
    usageShort: (date) => `Your ledger is long: only transactions since ${date} are included, and that day may be incomplete.`,
    usageNone: 'No usage in this period.',
    creditsADay: 'Credits',
    videosADay: 'Videos',
    /** @param {string} total */
    total: (total) => `${total} in total`,
    table: 'Show as table',
    day: 'Day',
    ledger: 'Ledger',
    ledgerLead: 'All credit transactions, newest first.',
    empty: 'No transactions yet.',
    failed: 'Couldn’t load the ledger.',
    date: 'Date',
    what: 'Description',
    amount: 'Credits',
    after: 'Balance',
    types: { signup: 'Welcome credits', grant: 'Credits added', charge: 'Video', refund: 'Refund' },
    openVideo: 'Open the video',
  },
  keys: {
    lead: 'API keys let programs act as you, with your videos, credits and limits. They never have administrator access.',
    make: 'Create key',
    name: 'Name',
    namePlaceholder: 'For example: nightly renders',
    scope: 'Permissions',
    scopes: { write: 'read and write', read: 'read only' },
    expires: 'Expires',
    days: { 30: 'after 30 days', 90: 'after 90 days', 365: 'after a year', 0: 'never' },
    made: 'Copy your key now — you won’t see it again.',
    done: 'Done',
    empty: 'No API keys yet.',
    failed: 'Couldn’t load your keys.',
    /** @param {string} date */
    ends: (date) => `expires ${date}`,
    /** @param {string} date */
    ended: (date) => `expired ${date}`,
    neverEnds: 'never expires',
    /** @param {string} date */
    used: (date) => `last used ${date}`,
    neverUsed: 'never used',
    revoke: 'Revoke',
    revokeTitle: 'Revoke this key?',
    /** @param {string} name */
    revokeText: (name) => `Programs using “${name}” will lose access within a minute. This can’t be undone.`,
    revoked: 'Key revoked.',
  },
  webhooks: {
    lead: 'Get a signed request when a video finishes (Standard Webhooks).',
    add: 'Add endpoint',
    url: 'URL',
    urlPlaceholder: 'https://example.com/rushes',
    events: 'Events',
    eventNames: { 'video.completed': 'Completed', 'video.failed': 'Failed', 'video.canceled': 'Canceled' },
    description: 'Description',
    descriptionPlaceholder: 'Optional',
    needsEvent: 'Choose at least one.',
    secret: 'Copy the signing secret now — you won’t see it again.',
    done: 'Done',
    empty: 'No endpoints yet.',
    failed: 'Couldn’t load your endpoints.',
    enabled: 'Enabled',
    disabled: 'Disabled',
    /** @param {string} reason */
    disabledBecause: (reason) => `Disabled because ${reason}`,
    /** @param {string} date */
    pausedUntil: (date) => `Paused after several failures; next attempt at ${date}`,
    test: 'Send test',
    tested: 'Test message sent.',
    rotate: 'Rotate secret',
    rotateTitle: 'Rotate secret?',
    rotateText: 'The current one keeps working for 24 hours.',
    remove: 'Delete',
    removeTitle: 'Delete this endpoint?',
    removeText: 'It stops receiving events and its secrets are deleted.',
    removed: 'Endpoint deleted.',
    deliveries: 'Messages',
    deliveriesEmpty: 'No messages yet.',
    deliveriesFailed: 'Couldn’t load the messages.',
    refresh: 'Refresh',
    message: 'Message',
    outcome: 'Result',
    tries: 'Attempts',
    sent: 'Created',
    statuses: { pending: 'Pending', delivered: 'Delivered', failed: 'Failed' },
    ping: 'Test',
    /** @param {number} status */
    answered: (status) => `answered ${status}`,
    accountSecret: 'Secret for per-video webhooks',
    accountSecretLead: 'Videos created over the API can have their own webhook_url. Messages to it are signed with this secret.',
    show: 'Reveal',
    /** @param {string} date */
    previousUntil: (date) => `The previous one keeps working until ${date}.`,
  },
  data: {
    exportTitle: 'Export your data',
    exportLead: 'Your account, videos, ledger, API keys (without the secrets) and webhooks, as JSON files that you can download for 7 days.',
    exportStart: 'Start export',
    exportUnderWay: 'Exporting…',
    /** @param {string} date */
    exportReady: (date) => `Ready. The files expire on ${date}.`,
    exportGone: 'The files of your last export have expired.',
    eraseTitle: 'Delete your account',
    eraseLead: 'Running videos are canceled. All videos, keys and webhooks are deleted, and your name and email are removed. Only the ledger remains, without your name. Remaining credits are lost. This can’t be undone.',
    erase: 'Delete my account…',
    eraseAsk: 'Permanently delete your account?',
    /** @param {string} balance */
    eraseText: (balance) => `This permanently deletes everything, including ${balance} credits.`,
    /** @param {string} word */
    eraseWord: (word) => `Type ${word} to confirm`,
    eraseYes: 'Delete my account',
    eraseNo: 'Cancel',
    erased: 'Your account has been deleted.',
  },
  problems: {
    signInRefused: {
      message: 'The sign-in service is refusing requests right now.',
      action: 'You’re still signed in. Try again in a few minutes.',
    },
    offline: { message: 'Can’t reach Rushes.', action: 'Check your connection and try again.' },
    unreadable: { message: 'Unexpected response from the server.', action: 'Try again in a moment.' },
    unknownOutcome: {
      message: 'We couldn’t confirm your request.',
      action: 'Press Generate to retry — you won’t be charged twice.',
    },
    /** @param {string} required @param {string} available @param {string} deficit */
    credits: (required, available, deficit) => `This costs ${required} credits; you have ${available} (${deficit} short).`,
    /** @param {string} cost @param {string} agreed */
    price: (cost, agreed) => `The price changed from ${agreed} to ${cost}. Nothing was created.`,
    priceAction: 'Press Generate again to create it at the new price.',
    /** @param {string} message @param {string} fields */
    fields: (message, fields) => `${message} ${fields}`,
    /** @param {string} seconds */
    wait: (seconds) => `Try again in ${seconds}.`,
    /** @param {string} id */
    requestId: (id) => `Request ${id}`,
  },
  time: {
    now: 'just now',
  },
};
