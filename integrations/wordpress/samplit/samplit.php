<?php
/**
 * Plugin Name:       Samplit
 * Description:       Experiments on your pages: adds the snippet, and tells your Samplit server of WooCommerce orders.
 * Version:           0.1.0
 * Requires at least: 6.2
 * Requires PHP:      7.4
 * License:           GPL-2.0-or-later
 * License URI:       https://www.gnu.org/licenses/gpl-2.0.html
 * Text Domain:       samplit
 *
 * Samplit for WordPress is free software: you can redistribute it and/or modify it under the terms
 * of the GNU General Public License as published by the Free Software Foundation, either version 2
 * of the License, or (at your option) any later version. It comes without any warranty.
 *
 * @package Samplit
 */

defined( 'ABSPATH' ) || exit;

require __DIR__ . '/includes/settings.php';
require __DIR__ . '/includes/snippet.php';
require __DIR__ . '/includes/orders.php';

add_action( 'admin_init', 'samplit_register_settings' );
add_action( 'admin_menu', 'samplit_add_settings_page' );
add_action( 'wp_head', 'samplit_print_snippet', 1 );
add_action( 'woocommerce_checkout_create_order', 'samplit_note_visitor' );
add_action( 'woocommerce_store_api_checkout_update_order_meta', 'samplit_note_visitor_of_block' );
add_action( 'woocommerce_order_status_processing', 'samplit_queue_order' );
add_action( 'woocommerce_order_status_on-hold', 'samplit_queue_order' );
add_action( 'woocommerce_order_status_completed', 'samplit_queue_order' );
add_action( 'samplit_send_order', 'samplit_send_order', 10, 2 );
